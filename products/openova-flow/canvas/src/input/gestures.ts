/** Receives gestures of pointer and wheel, in CSS pixels of the stage. */
export interface GestureTarget {
  panBy(dx: number, dy: number): void;
  zoomBy(factor: number, x: number, y: number): void;
  hover(at: { x: number; y: number } | null): void;
  press(x: number, y: number): void;
  doublePress(x: number, y: number): void;
  /** Called when a drag begins or ends. */
  dragging(on: boolean): void;
}

/** Movement in pixels from which a press is a drag. */
const deadZone = 4;
const doubleMs = 350, doubleDistance = 24;

interface Touch {
  x: number;
  y: number;
}

/** Converts a wheel step of any unit into a zoom factor. One notch of a mouse is about 20 %. */
export function wheelFactor(delta: number, mode: number, pinch: boolean): number {
  const pixels = delta * (mode === 1 ? 16 : mode === 2 ? 100 : 1);
  return Math.exp(-Math.max(-120, Math.min(120, pixels)) * (pinch ? 0.01 : 0.0018));
}

/** Listens on the stage until the signal is aborted. One finger or button pans, two pinch, the wheel zooms (with Shift it pans sideways). */
export function listen(stage: HTMLElement, target: GestureTarget, signal: AbortSignal): void {
  const touches = new Map<number, Touch>();
  let start: Touch | null = null;
  let moved = false;
  let last = { at: -Infinity, x: 0, y: 0 };

  const pointOf = (e: MouseEvent): Touch => {
    const r = stage.getBoundingClientRect();
    return { x: e.clientX - r.left, y: e.clientY - r.top };
  };
  const spread = (): { x: number; y: number; d: number } | null => {
    const [a, b] = [...touches.values()];
    return a === undefined || b === undefined ? null : { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, d: Math.hypot(a.x - b.x, a.y - b.y) };
  };
  const down = (e: PointerEvent): void => {
    if (e.button > 1) return;
    const p = pointOf(e);
    touches.set(e.pointerId, p);
    if (touches.size === 1) {
      start = p;
      moved = false;
    } else moved = true;
    stage.setPointerCapture(e.pointerId);
  };
  const move = (e: PointerEvent): void => {
    const p = pointOf(e);
    const before = touches.get(e.pointerId);
    if (before === undefined) {
      if (e.pointerType !== "touch") target.hover(p);
      return;
    }
    if (!moved && start !== null && Math.hypot(p.x - start.x, p.y - start.y) >= deadZone) {
      moved = true;
      target.dragging(true);
    }
    const old = spread();
    touches.set(e.pointerId, p);
    const now = spread();
    if (old !== null && now !== null) {
      target.panBy(old.x - now.x, old.y - now.y);
      if (old.d > 0 && now.d > 0) target.zoomBy(now.d / old.d, now.x, now.y);
    } else if (moved) target.panBy(before.x - p.x, before.y - p.y);
  };
  const up = (e: PointerEvent, cancelled: boolean): void => {
    if (!touches.delete(e.pointerId) || touches.size > 0) return;
    if (moved) target.dragging(false);
    if (moved || cancelled || e.button > 0) return;
    const p = pointOf(e);
    const second = e.timeStamp - last.at < doubleMs && Math.hypot(p.x - last.x, p.y - last.y) < doubleDistance;
    last = second ? { at: -Infinity, x: 0, y: 0 } : { at: e.timeStamp, x: p.x, y: p.y };
    if (second) target.doublePress(p.x, p.y);
    else target.press(p.x, p.y);
  };
  const wheel = (e: WheelEvent): void => {
    e.preventDefault();
    const p = pointOf(e);
    if (e.shiftKey) target.panBy(e.deltaX + e.deltaY, 0);
    else target.zoomBy(wheelFactor(e.deltaY, e.deltaMode, e.ctrlKey), p.x, p.y);
  };
  stage.addEventListener("pointerdown", down, { signal });
  stage.addEventListener("pointermove", move, { signal });
  stage.addEventListener("pointerup", (e) => up(e, false), { signal });
  stage.addEventListener("pointercancel", (e) => up(e, true), { signal });
  stage.addEventListener("pointerleave", () => target.hover(null), { signal });
  stage.addEventListener("wheel", wheel, { signal, passive: false });
}
