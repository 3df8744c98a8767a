import { describe, expect, test } from "vitest";
import { glyphs } from "../src/look/glyphs.js";
import { levelAt, nodeScale } from "../src/view/lod.js";
import { planTile, segments } from "../src/paint/regions.js";
import { STATES } from "../src/scene/scene.js";
import { palette } from "../src/look/palette.js";
import { contrast, stateOrder, themeOf } from "../src/look/theme.js";
import { isTile } from "../src/view/view.js";

describe("levels of detail", () => {
  test.each([[3, "card"], [1, "card"], [0.68, "card"], [0.6, "compact"], [0.31, "compact"], [0.3, "chip"], [0.15, "chip"], [0.1, "tile"], [0.001, "tile"]])("scale %d is %s", (k, level) => {
    expect(levelAt(k)).toBe(level);
  });
  test("a view that moves slightly across a border keeps its level", () => {
    for (const k of [0.679, 0.681, 0.675, 0.685]) {
      expect(levelAt(k, "card")).toBe("card");
      expect(levelAt(k, "compact")).toBe("compact");
    }
    expect(levelAt(0.6, "card")).toBe("compact");
    expect(levelAt(0.75, "compact")).toBe("card");
    expect(levelAt(0.1, "card")).toBe("tile");
  });
  test("a region is a tile if its nodes are too small, unless it fills the screen", () => {
    const region = { x: 0, y: 0, w: 1800, h: 700 };
    expect(isTile(region, nodeScale)).toBe(false);
    expect(isTile(region, 0.1)).toBe(true);
    expect(isTile({ ...region, w: 30_000, h: 20_000 }, 0.05)).toBe(false);
  });
});

describe("tiles", () => {
  test.each([[98, 36], [110, 52], [300, 120], [40, 20], [12, 6], [3, 2], [500, 300]])("the parts of a tile of %i by %i lie within it and do not overlap", (w, h) => {
    const r = { x: 10, y: 20, w, h };
    const p = planTile(r);
    expect(p.bar.x).toBeGreaterThanOrEqual(r.x);
    expect(p.bar.x + p.bar.w).toBeLessThanOrEqual(r.x + w + 1);
    expect(p.bar.y).toBeGreaterThanOrEqual(r.y);
    expect(p.bar.y + p.bar.h).toBeLessThanOrEqual(r.y + h);
    if (p.name > 0) {
      expect(p.base - p.name).toBeGreaterThanOrEqual(r.y - 1);
      expect(p.base).toBeLessThan(p.bar.y);
    }
    if (p.states > 0) {
      expect(p.states - 5.5).toBeGreaterThanOrEqual(p.bar.y + p.bar.h);
      expect(p.states + 5.5).toBeLessThanOrEqual(r.y + h);
    }
  });

  test("the segments of a bar add up to its width, and one broken release of many is visible", () => {
    const counts = new Uint32Array(STATES.length);
    counts[STATES.indexOf("ready")] = 5000;
    counts[STATES.indexOf("broken")] = 1;
    const parts = segments({ counts, total: 5001 }, 100);
    expect(parts.map((s) => s.name)).toEqual(["ready", "broken"]);
    expect(parts.reduce((sum, s) => sum + s.w, 0)).toBeCloseTo(100, 6);
    expect(parts[1]!.w).toBeGreaterThanOrEqual(2);
    expect(segments({ counts: new Uint32Array(STATES.length), total: 0 }, 100)).toEqual([]);
  });
});

describe("colours", () => {
  const themes = [0, 1].map((scheme) => themeOf((name) => palette[name][scheme as 0 | 1]));
  test.each(themes.flatMap((t, i) => Object.entries(t.states).map(([name, s]) => [["light", "dark"][i]!, name, t, s] as const)))("%s: %s has enough contrast", (_t, _n, theme, s) => {
    expect(contrast(s.color, theme.surface)).toBeGreaterThanOrEqual(4.5);
    expect(contrast(s.color, s.card)).toBeGreaterThanOrEqual(4.5);
    expect(contrast(s.railInk, s.rail)).toBeGreaterThanOrEqual(4.5);
    // A glyph is a graphical object: 3 to 1.
    expect(contrast(s.chipInk, s.chip)).toBeGreaterThanOrEqual(3);
    expect(contrast(theme.text, s.card)).toBeGreaterThanOrEqual(7);
    expect(contrast(theme.muted, s.card)).toBeGreaterThanOrEqual(4.5);
  });
  test("text and paths on lanes have enough contrast", () => {
    for (const t of themes) {
      for (const c of [t.text, t.muted, t.warning, t.failure]) expect(contrast(c, t.lane)).toBeGreaterThanOrEqual(4.5);
      for (const c of [t.blockedBy, t.blocks, t.critical, t.focus, t.failure, t.warning]) expect(contrast(c, t.lane)).toBeGreaterThanOrEqual(3);
    }
  });
  test("every display state has a colour, a segment of the bar and its own glyph", () => {
    expect([...STATES].toSorted()).toEqual([...stateOrder].toSorted());
    const drawings = STATES.map((s) => JSON.stringify([glyphs[s].stroke, glyphs[s].fill]));
    expect(new Set(drawings).size).toBe(STATES.length);
    for (const t of themes) for (const s of STATES) expect(t.states[s].color).toMatch(/^#[0-9a-f]{6}$/);
  });
});
