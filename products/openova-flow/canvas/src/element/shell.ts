import type { PaletteName } from "../look/theme.js";
import type { Layers } from "../paint/layers.js";

const css = `
:host {
  display: block; position: relative; overflow: hidden; contain: content; width: 100%; height: 100%; outline: none;
  font-family: Inter, system-ui, "Segoe UI", Roboto, "Noto Sans", Ubuntu, Cantarell, "Helvetica Neue", sans-serif;
  -webkit-tap-highlight-color: transparent; user-select: none;
}
:host { color-scheme: light dark; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
:host([hidden]) { display: none; }
:host(:focus-visible)::after { content: ""; position: absolute; inset: 0; border: 2px solid var(--flow-focus); pointer-events: none; }
.stage { position: absolute; inset: 0; touch-action: none; cursor: grab; background: var(--flow-background); }
.stage[data-over] { cursor: pointer; }
.stage[data-drag] { cursor: grabbing; }
.stage canvas { position: absolute; left: 0; top: 0; pointer-events: none; }
.map {
  position: absolute; left: calc(12px + var(--_left)); bottom: calc(12px + var(--_bottom)); touch-action: none;
  background: var(--flow-raised); border: 1px solid var(--flow-border); border-radius: 8px; cursor: crosshair;
}
.controls {
  position: absolute; right: calc(12px + var(--_right)); bottom: calc(12px + var(--_bottom)); display: none; flex-direction: column;
  background: var(--flow-raised); border: 1px solid var(--flow-border); border-radius: 8px; overflow: hidden;
}
:host([controls]) .controls { display: flex; }
.controls button {
  all: unset; box-sizing: border-box; width: 32px; height: 32px; display: grid; place-items: center; color: var(--flow-text); cursor: pointer;
}
.controls button + button { border-top: 1px solid var(--flow-border); }
.controls button:hover { background: var(--flow-hover); }
.controls button:focus-visible { outline: 2px solid var(--flow-focus); outline-offset: -2px; }
.controls svg { width: 16px; height: 16px; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.announcer { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
[hidden] { display: none; }
`;

let shared: CSSStyleSheet | undefined;

/** The content of the element's shadow root. */
export interface Shell {
  readonly stage: HTMLElement;
  readonly layers: Layers;
  readonly buttons: { readonly zoomIn: HTMLButtonElement; readonly zoomOut: HTMLButtonElement; readonly fit: HTMLButtonElement };
  /** A live region: screen readers announce its changes. */
  readonly announcer: HTMLElement;
  /** Sets custom properties of the host's style sheet. */
  set(properties: Readonly<Record<string, string>>): void;
  /** The current value of a colour of the palette. */
  color(name: PaletteName): string;
}

function button(label: string, d: string): HTMLButtonElement {
  const b = document.createElement("button");
  b.type = "button";
  b.tabIndex = -1;
  b.setAttribute("aria-label", label);
  b.title = label;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", d);
  svg.append(path);
  b.append(svg);
  return b;
}

/** Fills a shadow root. Styles are constructed sheets, which a content security policy without 'unsafe-inline' allows. */
export function buildShell(root: ShadowRoot): Shell {
  if (shared === undefined) {
    shared = new CSSStyleSheet();
    shared.replaceSync(css);
  }
  const own = new CSSStyleSheet();
  own.replaceSync(":host { --_left: 0px; --_right: 0px; --_bottom: 0px; }");
  root.adoptedStyleSheets = [shared, own];
  const rule = own.cssRules[0] as CSSStyleRule;
  const canvas = (name: string): HTMLCanvasElement => {
    const c = document.createElement("canvas");
    c.className = name;
    c.setAttribute("aria-hidden", "true");
    return c;
  };
  const stage = document.createElement("div");
  stage.className = "stage";
  const layers = { ground: canvas("ground"), nodes: canvas("nodes"), overlay: canvas("overlay"), map: canvas("map") };
  stage.append(layers.ground, layers.nodes, layers.overlay);
  layers.map.hidden = true;
  const controls = document.createElement("div");
  controls.className = "controls";
  const buttons = {
    zoomIn: button("Zoom in", "M8 3V13M3 8H13"),
    zoomOut: button("Zoom out", "M3 8H13"),
    fit: button("Show all", "M3 6V3H6M10 3H13V6M13 10V13H10M6 13H3V10"),
  };
  controls.append(buttons.zoomIn, buttons.zoomOut, buttons.fit);
  const announcer = document.createElement("div");
  announcer.className = "announcer";
  announcer.setAttribute("aria-live", "polite");
  root.append(stage, layers.map, controls, announcer);
  const probe = document.createElement("canvas").getContext("2d");
  return {
    stage, layers, buttons, announcer,
    set(properties) {
      for (const [name, value] of Object.entries(properties)) rule.style.setProperty(name, value);
    },
    color(name) {
      announcer.style.color = `var(--flow-${name})`;
      const { color } = getComputedStyle(announcer);
      if (probe === null) return color;
      // A canvas returns an opaque colour as `#rrggbb`.
      probe.fillStyle = color;
      return probe.fillStyle;
    },
  };
}
