export interface Box {
  readonly w: number;
  readonly h: number;
}
export interface Spot {
  readonly x: number;
  readonly y: number;
}

/** Puts boxes in rows, in the given order, close to an aspect ratio. */
export function shelves(boxes: readonly Box[], gap: number, aspect: number): { spots: Spot[]; w: number; h: number } {
  const area = boxes.reduce((sum, b) => sum + (b.w + gap) * (b.h + gap), 0);
  const limit = boxes.reduce((widest, b) => Math.max(widest, b.w), Math.sqrt(area * aspect));
  const spots: Spot[] = [];
  let x = 0;
  let y = 0;
  let shelf = 0;
  let w = 0;
  for (const b of boxes) {
    if (x > 0 && x + b.w > limit) {
      x = 0;
      y += shelf + gap;
      shelf = 0;
    }
    spots.push({ x, y });
    w = Math.max(w, x + b.w);
    x += b.w + gap;
    shelf = Math.max(shelf, b.h);
  }
  return { spots, w, h: y + shelf };
}

/** With more boxes than this, a new one goes below all others. */
const MANY = 150;

/** A free position for a box among fixed ones that keeps the frame around all boxes, at the aspect ratio, small. */
export function place(box: Box, taken: readonly (Box & Spot)[], gap: number, aspect: number): Spot {
  const right = taken.reduce((max, t) => Math.max(max, t.x + t.w), 0);
  const bottom = taken.reduce((max, t) => Math.max(max, t.y + t.h), 0);
  let best: Spot = { x: 0, y: taken.length === 0 ? 0 : bottom + gap };
  if (taken.length > MANY) return best;
  const cost = (s: Spot): number => Math.max(Math.max(right, s.x + box.w) / aspect, Math.max(bottom, s.y + box.h));
  let least = cost(best);
  const xs = [0, ...taken.map((t) => t.x + t.w + gap)].sort((a, b) => a - b);
  const ys = [0, ...taken.map((t) => t.y + t.h + gap)].sort((a, b) => a - b);
  for (const y of ys) {
    for (const x of xs) {
      const c = cost({ x, y });
      if (c < least && isFree({ x, y }, box, taken, gap)) {
        best = { x, y };
        least = c;
      }
    }
  }
  return best;
}

export function isFree(s: Spot, box: Box, taken: readonly (Box & Spot)[], gap: number): boolean {
  return taken.every((t) => s.x + box.w + gap <= t.x || t.x + t.w + gap <= s.x || s.y + box.h + gap <= t.y || t.y + t.h + gap <= s.y);
}
