import { describe, expect, test } from "vitest";
import { between, clampScale, fitted, constrained, maxScale, minScale, openingView, panned, revealed, toScreen, toWorld, visible, zoomedAt, type Camera } from "../src/geometry/camera.js";

const size = { width: 1000, height: 600 };
const close = (a: { x: number; y: number }, b: { x: number; y: number }): void => {
  expect(a.x).toBeCloseTo(b.x, 6);
  expect(a.y).toBeCloseTo(b.y, 6);
};

describe("camera", () => {
  test("toWorld and toScreen are inverse", () => {
    const c: Camera = { x: -40, y: 12, k: 0.37 };
    const p = toWorld(c, 123, 456);
    close(toScreen(c, p.x, p.y), { x: 123, y: 456 });
  });

  test("zooming keeps the point under the pointer and the scale within its limits", () => {
    const c: Camera = { x: 10, y: 20, k: 0.5 };
    const z = zoomedAt(c, 300, 200, 1.7);
    close(toWorld(z, 300, 200), toWorld(c, 300, 200));
    expect(zoomedAt(c, 0, 0, 1e9).k).toBe(maxScale);
    expect(zoomedAt(c, 0, 0, 1e-9).k).toBe(minScale);
    expect(clampScale(NaN)).toBe(1);
  });

  test.each([
    ["no padding", { top: 0, right: 0, bottom: 0, left: 0 }],
    ["a panel at the right and a bar on top", { top: 70, right: 320, bottom: 0, left: 0 }],
    ["panels on all sides", { top: 50, right: 100, bottom: 200, left: 150 }],
  ])("fit shows all of the bounds between the paddings: %s", (_name, pad) => {
    const bounds = { x: -500, y: 300, w: 4000, h: 900 };
    const c = fitted(bounds, size, pad);
    const a = toScreen(c, bounds.x, bounds.y), b = toScreen(c, bounds.x + bounds.w, bounds.y + bounds.h);
    expect(a.x).toBeGreaterThanOrEqual(pad.left - 1e-6);
    expect(a.y).toBeGreaterThanOrEqual(pad.top - 1e-6);
    expect(b.x).toBeLessThanOrEqual(size.width - pad.right + 1e-6);
    expect(b.y).toBeLessThanOrEqual(size.height - pad.bottom + 1e-6);
    const touches = Math.min(a.x - pad.left, a.y - pad.top);
    expect(touches).toBeCloseTo(0, 6);
  });

  test("fit does not enlarge a small flow, and works if panels cover everything", () => {
    expect(fitted({ x: 0, y: 0, w: 10, h: 10 }, size).k).toBe(1);
    const c = fitted({ x: 0, y: 0, w: 100, h: 100 }, size, { top: 900, right: 900, bottom: 900, left: 900 });
    expect(Number.isFinite(c.x) && Number.isFinite(c.y) && c.k > 0).toBe(true);
  });

  test("fit of an empty flow in an empty viewport is a valid view", () => {
    const c = fitted({ x: 0, y: 0, w: 0, h: 0 }, { width: 0, height: 0 });
    expect([c.x, c.y, c.k].every(Number.isFinite)).toBe(true);
  });

  test("in a narrow viewport, a flow too small to read as a whole opens at a region, with a working node in view", () => {
    const phone = { width: 390, height: 600 };
    const pad = { top: 16, right: 16, bottom: 16, left: 16 };
    const region = { x: 100, y: 50, w: 1500, h: 600 };
    const plain = openingView(0.23, region, undefined, phone, pad, [0.15, 0.31])!;
    expect(plain.k).toBe(0.7);
    expect(toScreen(plain, 100, 0).x).toBeCloseTo(16, 6);
    expect(toScreen(plain, 0, 350).y).toBeCloseTo(300, 6);
    const node = { x: 1200, y: 400, w: 168, h: 40 };
    const there = toScreen(openingView(0.23, region, node, phone, pad, [0.15, 0.31])!, 1200 + 168, 0).x;
    expect(there).toBeCloseTo(390 - 16, 6);
    for (const [scale, size] of [[0.1, phone], [0.4, phone], [0.23, { width: 1000, height: 600 }]] as const) {
      expect(openingView(scale, region, undefined, size, pad, [0.15, 0.31])).toBeUndefined();
    }
  });

  test("reveal moves as little as possible", () => {
    const c: Camera = { x: 0, y: 0, k: 1 };
    expect(revealed(c, { x: 100, y: 100, w: 50, h: 50 }, size)).toEqual(c);
    expect(revealed(c, { x: 1100, y: 100, w: 50, h: 50 }, size)).toEqual({ x: 150, y: 0, k: 1 });
    expect(revealed(c, { x: -30, y: 100, w: 50, h: 50 }, size)).toEqual({ x: -30, y: 0, k: 1 });
    expect(revealed(c, { x: 700, y: 0, w: 50, h: 50 }, size, { top: 0, right: 400, bottom: 0, left: 0 }).x).toBe(150);
  });

  test("a strip of the world stays in view however far one pans", () => {
    const world = { x: 0, y: 0, w: 500, h: 500 };
    for (const far of [{ x: 1e6, y: 1e6, k: 1 }, { x: -1e6, y: -1e6, k: 0.3 }]) {
      const v = visible(constrained(far, world, size), size);
      const wide = Math.min(v.x + v.w, 500) - Math.max(v.x, 0), high = Math.min(v.y + v.h, 500) - Math.max(v.y, 0);
      expect(wide).toBeGreaterThan(0);
      expect(high).toBeGreaterThan(0);
    }
    const home = { x: 10, y: 10, k: 1 };
    expect(constrained(home, world, size)).toEqual(home);
  });

  test("a flight starts and ends at its views, and its scale is monotonic", () => {
    const a: Camera = { x: 0, y: 0, k: 0.1 }, b: Camera = { x: 3000, y: 800, k: 1 };
    expect(between(a, b, 0, size)).toEqual(a);
    expect(between(a, b, 1, size)).toEqual(b);
    const ks = [0.2, 0.4, 0.6, 0.8].map((t) => between(a, b, t, size).k);
    expect(ks).toEqual(ks.toSorted((p, q) => p - q));
    const near = between(a, b, 1 - 1e-9, size);
    expect(near.x).toBeCloseTo(b.x, 2);
    expect(near.y).toBeCloseTo(b.y, 2);
  });

  test("panning moves the world by the given pixels", () => {
    expect(panned({ x: 0, y: 0, k: 0.5 }, 10, -20)).toEqual({ x: 20, y: -40, k: 0.5 });
  });
});
