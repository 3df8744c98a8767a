import { describe, expect, test } from "vitest";
import { SpatialIndex, type Boxes } from "../src/geometry/spatial.js";
import { randomFrom } from "./support/fleet.js";

function boxes(n: number, spread: number, seed: number): Boxes {
  const random = randomFrom(seed);
  const make = (scale: number, shift = 0): Float32Array => Float32Array.from({ length: n }, () => shift + random() * scale);
  return { count: n, x: make(spread, -spread / 2), y: make(spread / 3), w: make(200), h: make(60) };
}

function brute(b: Boxes, x: number, y: number, w: number, h: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < b.count; i++) if (b.x[i]! <= x + w && b.x[i]! + b.w[i]! >= x && b.y[i]! <= y + h && b.y[i]! + b.h[i]! >= y) out.push(i);
  return out;
}

describe("spatial index", () => {
  test.each([[0, 100], [1, 1], [40, 300], [2000, 20_000], [500, 10]])("finds the same as a full scan: %i boxes over %i", (n, spread) => {
    const b = boxes(n, spread, n + 1);
    const index = new SpatialIndex(b);
    const random = randomFrom(5);
    for (let k = 0; k < 60; k++) {
      const r = { x: (random() - 0.5) * spread * 1.5, y: random() * spread * 0.5, w: random() * spread * 0.4, h: random() * spread * 0.2 };
      const found: number[] = [];
      index.query(r, (i) => found.push(i));
      expect(found.toSorted((p, q) => p - q)).toEqual(brute(b, r.x, r.y, r.w, r.h));
    }
  });

  test("at finds the topmost box, none between boxes, and with slack a near one", () => {
    const index = new SpatialIndex({ count: 3, x: [0, 5, 100], y: [0, 5, 0], w: [10, 10, 10], h: [10, 10, 10] });
    expect(index.at(7, 7)).toBe(1);
    expect(index.at(2, 2)).toBe(0);
    expect(index.at(50, 5)).toBe(-1);
    expect(index.at(98, 5)).toBe(-1);
    expect(index.at(98, 5, 3)).toBe(2);
  });

  test("one distant box does not make the grid large", () => {
    const b = { count: 2, x: [0, 1e9], y: [0, 1e9], w: [10, 10], h: [10, 10] };
    expect(new SpatialIndex(b).at(1e9 + 5, 1e9 + 5)).toBe(1);
  });
});
