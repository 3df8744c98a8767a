import { listen } from "../input/gestures.js";
import { hitAt, type Hit } from "../input/hit.js";
import { keyAction, type KeyTarget } from "../input/keys.js";
import { stopAfter } from "../input/navigate.js";
import type { Renderer } from "../paint/renderer.js";
import type { OpenovaFlowElement } from "./element.js";
import type { Emit } from "./events.js";
import type { Selection, Target } from "./selection.js";
import type { Shell } from "./shell.js";
import type { Viewport } from "./viewport.js";

export const zoomStep = 1.3;

/** The parts of the element that user input acts on. */
export interface Parts {
  readonly shell: Shell;
  readonly renderer: Renderer;
  readonly viewport: Viewport;
  readonly selection: Selection;
  readonly emit: Emit;
}

/** Selects a target and fires the event. */
function choose(element: OpenovaFlowElement, { emit }: Parts, target: Target | null): void {
  element.select(target?.id ?? null);
  emit("select", { id: target?.id ?? null, kind: target?.kind ?? null });
}

function open({ renderer, emit }: Parts, target: Target): void {
  const ghost = target.kind === "external" ? renderer.scene?.ghosts.get(target.id) : undefined;
  if (ghost === undefined) emit("open", { ...target });
  else emit("open-flow", { flowId: ghost.flowId, nodeId: ghost.nodeId });
}

/** Listens to pointers on the flow, on the buttons and on the map until the signal is aborted. */
export function listenToPointers(element: OpenovaFlowElement, parts: Parts, signal: AbortSignal): void {
  const { shell: { stage, layers: { map }, buttons }, renderer, viewport, selection, emit } = parts;
  const under = (x: number, y: number): Hit | null => {
    const view = renderer.view();
    return view === null ? null : hitAt(view, x, y);
  };
  /** The id in the last hover event. `selection.hovered` may be another, since a new scene clears it. */
  let announced = selection.hovered?.id ?? null;
  listen(stage, {
    panBy: (dx, dy) => element.panBy(dx, dy),
    zoomBy: (factor, x, y) => viewport.zoomBy(factor, false, x, y),
    hover(at) {
      selection.hover(at === null ? null : under(at.x, at.y));
      const { id, kind } = selection.hovered ?? { id: null, kind: null };
      stage.toggleAttribute("data-over", id !== null);
      if (id === announced) return;
      announced = id;
      emit("hover", { id, kind });
    },
    press(x, y) {
      element.focus({ preventScroll: true });
      const hit = under(x, y);
      const target = selection.target(hit);
      choose(element, parts, target);
      if (target !== null && hit?.kind === "external") open(parts, target);
      if (hit?.kind === "tile") element.zoomTo(hit.region.name);
    },
    doublePress(x, y) {
      const hit = under(x, y);
      const target = selection.target(hit);
      if (target === null) viewport.zoomBy(zoomStep * zoomStep, true, x, y);
      else if (hit?.kind === "external") return; // its first press has opened it
      else if (hit !== null && "index" in hit) open(parts, target);
      else element.zoomTo(target.id);
    },
    dragging: (on) => stage.toggleAttribute("data-drag", on),
  }, signal);
  buttons.zoomIn.addEventListener("click", () => element.zoomIn(), { signal });
  buttons.zoomOut.addEventListener("click", () => element.zoomOut(), { signal });
  buttons.fit.addEventListener("click", () => element.fit(), { signal });
  const jump = (e: PointerEvent): void => {
    const r = map.getBoundingClientRect();
    const camera = renderer.fromMap(e.clientX - r.left, e.clientY - r.top);
    if (camera !== null) viewport.move(camera);
  };
  map.addEventListener("pointerdown", (e) => {
    map.setPointerCapture(e.pointerId);
    jump(e);
  }, { signal });
  map.addEventListener("pointermove", (e) => {
    if (map.hasPointerCapture(e.pointerId)) jump(e);
  }, { signal });
}

/** Listens to keys and focus until the signal is aborted. */
export function listenToKeys(element: OpenovaFlowElement, parts: Parts, signal: AbortSignal): void {
  const { shell: { announcer }, renderer, viewport, selection } = parts;
  const target: KeyTarget = {
    step(direction) {
      const view = renderer.view();
      const stop = view === null ? null : stopAfter(view.scene, element.selected, view.level, direction);
      if (stop === null) return;
      choose(element, parts, stop);
      announcer.textContent = stop.announcement;
      viewport.reveal(stop.rect);
    },
    panBy: (dx, dy) => element.panBy(dx, dy),
    zoomIn: () => element.zoomIn(),
    zoomOut: () => element.zoomOut(),
    fit: () => element.fit(),
    open() {
      const id = element.selected;
      const { scene } = renderer;
      if (id === null || scene === null) return;
      const i = scene.index.get(id);
      if (i === undefined) element.zoomTo(id);
      else open(parts, { id, kind: scene.kind(i) });
    },
    clear() {
      if (element.selected !== null) choose(element, parts, null);
    },
  };
  element.addEventListener("keydown", (e) => {
    if (e.composedPath()[0] === element && keyAction(e, target)) e.preventDefault();
  }, { signal });
  for (const type of ["focus", "blur"]) element.addEventListener(type, () => selection.point(), { signal });
}
