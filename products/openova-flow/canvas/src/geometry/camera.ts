/** A view on the world: `x`, `y` is the world point at the top left of the viewport, `k` is screen pixels per world unit. */
export interface Camera {
  readonly x: number;
  readonly y: number;
  readonly k: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** Screen pixels that something else covers on each side of the viewport. */
export interface Padding {
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly left: number;
}

export const noPadding: Padding = { top: 0, right: 0, bottom: 0, left: 0 };

export const minScale = 0.005;
export const maxScale = 3;

export function clampScale(k: number): number {
  return Number.isFinite(k) ? Math.min(maxScale, Math.max(minScale, k)) : 1;
}

export function toWorld(c: Camera, sx: number, sy: number): { x: number; y: number } {
  return { x: c.x + sx / c.k, y: c.y + sy / c.k };
}

export function toScreen(c: Camera, wx: number, wy: number): { x: number; y: number } {
  return { x: (wx - c.x) * c.k, y: (wy - c.y) * c.k };
}

/** The part of the world that a viewport shows. */
export function visible(c: Camera, size: Size): Rect {
  return { x: c.x, y: c.y, w: size.width / c.k, h: size.height / c.k };
}

/** Moves the view by screen pixels: a positive dx shows what lies further right. */
export function panned(c: Camera, dx: number, dy: number): Camera {
  return { x: c.x + dx / c.k, y: c.y + dy / c.k, k: c.k };
}

/** Zooms by a factor while the world point under the screen point stays where it is. */
export function zoomedAt(c: Camera, sx: number, sy: number, factor: number): Camera {
  const k = clampScale(c.k * factor);
  const p = toWorld(c, sx, sy);
  return { x: p.x - sx / k, y: p.y - sy / k, k };
}

/** The part of the viewport inside the padding; at least a quarter of each side. */
function freeArea(size: Size, pad: Padding): Rect {
  const w = Math.max(size.width - pad.left - pad.right, size.width / 4, 1);
  const h = Math.max(size.height - pad.top - pad.bottom, size.height / 4, 1);
  return { x: Math.min(pad.left, size.width - w), y: Math.min(pad.top, size.height - h), w, h };
}

/** A view that shows the whole rectangle, centred inside the padding, at a scale of at most `limit`. */
export function fitted(bounds: Rect, size: Size, pad: Padding = noPadding, limit = 1): Camera {
  const area = freeArea(size, pad);
  const k = clampScale(Math.min(limit, area.w / Math.max(bounds.w, 1), area.h / Math.max(bounds.h, 1)));
  return {
    x: bounds.x + bounds.w / 2 - (area.x + area.w / 2) / k,
    y: bounds.y + bounds.h / 2 - (area.y + area.h / 2) / k,
    k,
  };
}

/** Width below which a viewport is narrow, and the range of scales of an opening view. */
const narrow = 600, openLeast = 0.42, openMost = 0.7;

/**
 * The first view of a flow in a narrow viewport: a region from its left, with the node `first` in view. Undefined if the viewport is wide,
 * or if `scale`, that of the whole flow, is outside `range`: the whole flow is then the better view.
 */
export function openingView(scale: number, region: Rect, first: Rect | undefined, size: Size, pad: Padding, range: readonly [number, number]): Camera | undefined {
  if (size.width >= narrow || scale < range[0] || scale >= range[1]) return undefined;
  const area = freeArea(size, pad);
  const k = Math.min(openMost, Math.max(openLeast, area.h / Math.max(region.h, 1)));
  const spare = Math.max(0, area.h - region.h * k) / 2;
  const camera = { x: region.x - area.x / k, y: region.y - (area.y + spare) / k, k };
  return first === undefined ? camera : revealed(camera, first, size, pad);
}

/** Pans as little as possible to bring a rectangle into the free area. One that is too large is shown from its top left. */
export function revealed(c: Camera, r: Rect, size: Size, pad: Padding = noPadding): Camera {
  const area = freeArea(size, pad);
  const shift = (from: number, extent: number, lo: number, room: number): number => {
    if (from < lo || extent > room) return from - lo;
    return Math.max(0, from + extent - (lo + room));
  };
  const p = toScreen(c, r.x, r.y);
  return panned(c, shift(p.x, r.w * c.k, area.x, area.w), shift(p.y, r.h * c.k, area.y, area.h));
}

/** Keeps at least `margin` screen pixels of the world in view; in a viewport smaller than twice that, half of the viewport. */
export function constrained(c: Camera, world: Rect, size: Size, margin = 64): Camera {
  const mx = Math.min(margin, size.width / 2) / c.k;
  const my = Math.min(margin, size.height / 2) / c.k;
  const x = Math.min(Math.max(c.x, world.x - size.width / c.k + mx), world.x + world.w - mx);
  const y = Math.min(Math.max(c.y, world.y - size.height / c.k + my), world.y + world.h - my);
  return { x, y, k: c.k };
}

/** The view at `t`, 0 to 1, between two views. The scale is interpolated geometrically, so that zooming looks even. */
export function between(a: Camera, b: Camera, t: number, size: Size): Camera {
  if (t <= 0) return a;
  if (t >= 1) return b;
  const k = a.k * Math.pow(b.k / a.k, t);
  // The centre moves in proportion to 1/k, so that each world point crosses the screen in a straight line.
  const u = Math.abs(b.k - a.k) < 1e-9 ? t : (1 / a.k - 1 / k) / (1 / a.k - 1 / b.k);
  const cx = a.x + size.width / 2 / a.k;
  const cy = a.y + size.height / 2 / a.k;
  const dx = b.x + size.width / 2 / b.k;
  const dy = b.y + size.height / 2 / b.k;
  return { x: cx + (dx - cx) * u - size.width / 2 / k, y: cy + (dy - cy) * u - size.height / 2 / k, k };
}
