import { RELATIONSHIP_TYPES } from "@openova/flow-core";
import { describe, expect, test } from "vitest";
import { curveOf, middle } from "../src/curve.js";

const from = { x: 0, y: 0, w: 100, h: 40 };
const to = { x: 200, y: 100, w: 100, h: 40 };
const ends = (type: Parameters<typeof curveOf>[0]): number[] => {
  const { p } = curveOf(type, from, to, 1);
  return [p[0], p[1], p[6], p[7]];
};

describe("edges", () => {
  test("each order in time is attached at the sides that it speaks of", () => {
    expect(ends("finish-to-start")).toEqual([100, 20, 200, 120]);
    expect(ends("start-to-start")).toEqual([0, 20, 200, 120]);
    expect(ends("finish-to-finish")).toEqual([100, 20, 300, 120]);
    expect(ends("start-to-finish")).toEqual([0, 20, 300, 120]);
    expect(ends("triggers")).toEqual([50, 40, 250, 100]);
  });
  test("no two types have the same ends", () => {
    const types = RELATIONSHIP_TYPES.filter((t) => t !== "contains");
    expect(new Set(types.map((t) => ends(t).join())).size).toBe(types.length);
  });
  test("the way back of a cycle and an edge to itself bow out over the boxes", () => {
    const back = curveOf("finish-to-start", to, { ...from, y: 100 }, 1);
    expect(middle(back).y).toBeLessThan(100);
    const self = curveOf("finish-to-start", from, from, 1);
    expect(middle(self).y).toBeLessThan(0);
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
  test("a curve scales with the view", () => {
    const twice = (r: typeof from): typeof from => ({ x: r.x * 2, y: r.y * 2, w: r.w * 2, h: r.h * 2 });
    for (const type of RELATIONSHIP_TYPES) {
      const a = curveOf(type, from, to, 1).p, b = curveOf(type, twice(from), twice(to), 2).p;
      b.forEach((v, i) => expect(v).toBeCloseTo(2 * a[i]!, 6));
    }
  });
});
