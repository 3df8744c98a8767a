import { RELATIONSHIP_TYPES } from "@openova/flow-core";
import { describe, expect, test } from "vitest";
import { curveOf, markPoint } from "../src/geometry/curve.js";

const from = { x: 0, y: 0, w: 100, h: 40 };
const to = { x: 200, y: 100, w: 100, h: 40 };
const ends = (type: Parameters<typeof curveOf>[0]): number[] => {
  const { p } = curveOf(type, from, to, 1);
  return [p[0]!, p[1]!, p.at(-2)!, p.at(-1)!];
};

describe("edges", () => {
  test("each type is attached at its two sides", () => {
    expect(ends("finish-to-start")).toEqual([100, 20, 200, 120]);
    expect(ends("start-to-start")).toEqual([0, 20, 200, 120]);
    expect(ends("finish-to-finish")).toEqual([100, 20, 300, 120]);
    expect(ends("start-to-finish")).toEqual([0, 20, 300, 120]);
    expect(ends("triggers")).toEqual([50, 40, 250, 100]);
  });
  test("no two types are attached at the same sides", () => {
    const types = RELATIONSHIP_TYPES.filter((t) => t !== "contains");
    expect(new Set(types.map((t) => ends(t).join())).size).toBe(types.length);
  });
  test("the backward edge of a cycle and an edge to itself are bent over the boxes", () => {
    const back = curveOf("finish-to-start", to, { ...from, y: 100 }, 1);
    expect(markPoint(back, 1e9).y).toBeLessThan(100);
    const self = curveOf("finish-to-start", from, from, 1);
    expect(markPoint(self, 1e9).y).toBeLessThan(0);
    expect(self.p.every(Number.isFinite)).toBe(true);
  });
  test("the end mark points into the box", () => {
    const at = (type: Parameters<typeof curveOf>[0]): number[] => {
      const c = curveOf(type, from, to, 1);
      return [c.dx, c.dy].map((v) => v + 0);
    };
    expect(at("finish-to-start")).toEqual([1, 0]);
    expect(at("finish-to-finish")).toEqual([-1, 0]);
    expect(at("triggers")).toEqual([0, 1]);
  });
  test("an edge from a start or to a finish goes round its own boxes, not under them", () => {
    for (const type of ["start-to-start", "finish-to-finish", "start-to-finish"] as const) {
      const { p } = curveOf(type, from, to, 1);
      for (let k = 0; k + 7 < p.length; k += 6) {
        for (let t = 0.05; t < 1; t += 0.05) {
          const u = 1 - t;
          const at = (i: number): number => u ** 3 * p[k + i]! + 3 * u * u * t * p[k + i + 2]! + 3 * u * t * t * p[k + i + 4]! + t ** 3 * p[k + i + 6]!;
          for (const box of [from, to]) expect(at(0) > box.x && at(0) < box.x + box.w && at(1) > box.y && at(1) < box.y + box.h, `${type} at ${at(0)} ${at(1)}`).toBe(false);
        }
      }
    }
  });
  test("marks lie on the curve just before its end", () => {
    const m = markPoint(curveOf("finish-to-start", from, to, 1), 20);
    expect(m.x).toBeGreaterThan(160);
    expect(m.x).toBeLessThan(190);
  });
  test("a curve scales with the view", () => {
    const twice = (r: typeof from): typeof from => ({ x: r.x * 2, y: r.y * 2, w: r.w * 2, h: r.h * 2 });
    for (const type of RELATIONSHIP_TYPES) {
      const a = curveOf(type, from, to, 1).p, b = curveOf(type, twice(from), twice(to), 2).p;
      b.forEach((v, i) => expect(v).toBeCloseTo(2 * a[i]!, 6));
    }
  });
});
