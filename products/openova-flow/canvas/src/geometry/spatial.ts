import type { Rect } from "./camera.js";

/** Boxes by index, in arrays of equal length. */
export interface Boxes {
  readonly count: number;
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
  readonly w: ArrayLike<number>;
  readonly h: ArrayLike<number>;
}

/**
 * A uniform grid over boxes: each cell lists the boxes that touch it. It does not follow boxes that move. The number
 * of cells depends on that of the boxes, not on the size of the world.
 */
export class SpatialIndex {
  readonly #boxes: Boxes;
  readonly #cell: number;
  readonly #cols: number;
  readonly #rows: number;
  readonly #x0: number;
  readonly #y0: number;
  readonly #starts: Uint32Array;
  readonly #items: Uint32Array;
  readonly #seen: Uint32Array;
  #stamp = 0;

  constructor(boxes: Boxes) {
    const n = boxes.count;
    let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
    for (let i = 0; i < n; i++) {
      x0 = Math.min(x0, boxes.x[i]!);
      y0 = Math.min(y0, boxes.y[i]!);
      x1 = Math.max(x1, boxes.x[i]! + boxes.w[i]!);
      y1 = Math.max(y1, boxes.y[i]! + boxes.h[i]!);
    }
    if (n === 0) x0 = y0 = x1 = y1 = 0;
    const area = Math.max(1, (x1 - x0) * (y1 - y0));
    this.#boxes = boxes;
    // Two boxes per cell on average keep both the cells per box and the boxes per cell few.
    this.#cell = Math.max(Math.sqrt((2 * area) / Math.max(n, 1)), (x1 - x0) / 2048, (y1 - y0) / 2048, 1);
    this.#x0 = x0;
    this.#y0 = y0;
    this.#cols = Math.floor((x1 - x0) / this.#cell) + 1;
    this.#rows = Math.floor((y1 - y0) / this.#cell) + 1;
    this.#seen = new Uint32Array(n);
    const counts = new Uint32Array(this.#cols * this.#rows + 1);
    for (let i = 0; i < n; i++) this.#cellsOf(i, (c) => counts[c + 1]!++);
    for (let c = 0; c < counts.length - 1; c++) counts[c + 1]! += counts[c]!;
    this.#starts = counts;
    this.#items = new Uint32Array(counts[counts.length - 1]!);
    const next = counts.slice();
    for (let i = 0; i < n; i++) this.#cellsOf(i, (c) => (this.#items[next[c]!++] = i));
  }

  #cellsOf(i: number, visit: (cell: number) => void): void {
    const b = this.#boxes;
    this.#cells(b.x[i]!, b.y[i]!, b.x[i]! + b.w[i]!, b.y[i]! + b.h[i]!, visit);
  }

  #cells(x0: number, y0: number, x1: number, y1: number, visit: (cell: number) => void): void {
    const clamp = (v: number, max: number): number => Math.min(Math.max(Math.floor(v / this.#cell), 0), max - 1);
    const c0 = clamp(x0 - this.#x0, this.#cols), c1 = clamp(x1 - this.#x0, this.#cols);
    const r0 = clamp(y0 - this.#y0, this.#rows), r1 = clamp(y1 - this.#y0, this.#rows);
    for (let r = r0; r <= r1; r++) for (let c = c0; c <= c1; c++) visit(r * this.#cols + c);
  }

  /** Calls `visit` once for each box that touches the rectangle. */
  query(r: Rect, visit: (index: number) => void): void {
    const b = this.#boxes;
    const x1 = r.x + r.w, y1 = r.y + r.h;
    const stamp = ++this.#stamp;
    this.#cells(r.x, r.y, x1, y1, (cell) => {
      for (let k = this.#starts[cell]!; k < this.#starts[cell + 1]!; k++) {
        const i = this.#items[k]!;
        if (this.#seen[i] === stamp) continue;
        this.#seen[i] = stamp;
        if (b.x[i]! <= x1 && b.x[i]! + b.w[i]! >= r.x && b.y[i]! <= y1 && b.y[i]! + b.h[i]! >= r.y) visit(i);
      }
    });
  }

  /** The box under a point, or -1; of several, the last, which is on top. `slack` widens every box. */
  at(x: number, y: number, slack = 0): number {
    let best = -1;
    this.query({ x: x - slack, y: y - slack, w: 2 * slack, h: 2 * slack }, (i) => {
      if (i > best) best = i;
    });
    return best;
  }
}
