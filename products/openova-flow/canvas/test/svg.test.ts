import { buildGraph, emptyState, fold, layout } from "@openova/flow-core";
import { describe, expect, test } from "vitest";
import { toSVG, type ExportSource } from "../src/paint/export.js";
import { addGhosts } from "../src/scene/ghosts.js";
import { Scene } from "../src/scene/scene.js";
import { SvgContext } from "../src/paint/svg.js";
import { TextFitter } from "../src/look/text.js";
import { glyphs } from "../src/look/glyphs.js";
import { palette } from "../src/look/palette.js";
import { themeOf } from "../src/look/theme.js";
import { fleet, fleetNow } from "./support/fleet.js";
import { zoo } from "./support/zoo.js";

function source(snapshot: ReturnType<typeof zoo>): ExportSource {
  const state = fold(emptyState(snapshot.flow.id), snapshot);
  const graph = buildGraph(state);
  const withGhosts = addGhosts(graph);
  const scene = new Scene(graph, layout(buildGraph(withGhosts.state)), withGhosts.ghosts, { nodes: state.nodes, now: fleetNow });
  return {
    scene, emphasis: null, camera: { x: 0, y: 0, k: 1 }, size: { width: 400, height: 300 },
    theme: themeOf((name) => palette[name][0]), text: new TextFitter(() => 0.55), family: 'Inter, "Segoe UI"', title: "a < b & \"c\"",
  };
}

/** Checks that tags are balanced and special characters escaped. */
function wellFormed(xml: string): void {
  const open: string[] = [];
  for (const [, close, name, self] of xml.matchAll(/<(\/?)([a-z]+)(?:\s+[\w-]+="[^"<&]*(?:&(?:amp|lt|gt|quot);[^"<&]*)*")*\s*(\/?)>/g)) {
    if (close === "/") expect(open.pop()).toBe(name);
    else if (self !== "/") open.push(name!);
  }
  expect(open).toEqual([]);
  expect(xml.replace(/<[^>]*>/g, "")).not.toMatch(/[<>]|&(?!amp;|lt;|gt;|quot;)/);
}

describe("SVG export", () => {
  test("is a well-formed document with every name, even one with special characters", () => {
    const svg = toSVG(source(zoo()));
    wellFormed(svg);
    expect(svg).toContain("<title>a &lt; b &amp; &quot;c&quot;</title>");
    for (const label of ["egg", "orphan", "monitoring stack", "network/vpc", "in infrastructure", "does not exist", "+30 s"]) expect(svg).toContain(`>${label}<`);
  });

  test("draws all nodes of a large flow", () => {
    const svg = toSVG(source(fleet({ regions: 6, perRegion: 60 })));
    wellFormed(svg);
    expect(svg.match(/>bp-[a-z0-9-]*…?[a-z0-9-]*</g)!.length).toBe(360);
  });

  test("at a small scale only broken nodes keep their glyph", () => {
    const svg = toSVG({ ...source(zoo()), camera: { x: 0, y: 0, k: 0.19 } }, { scope: "view" });
    expect(svg).toContain(glyphs.broken.stroke);
    for (const name of ["ready", "working", "waiting"] as const) expect(svg).not.toContain(glyphs[name].stroke);
  });

  test("can show only the view", () => {
    const all = toSVG(source(zoo())), view = toSVG(source(zoo()), { scope: "view" });
    expect(view).toContain('width="400" height="300"');
    expect(view.length).toBeLessThan(all.length);
  });

  test("has no script, no style element and no external reference", () => {
    const svg = toSVG(source(zoo()));
    expect(svg).not.toMatch(/<script|<style|href|@import/);
    expect(svg.match(/url\([^)]*\)/g)?.every((u) => u === "url(#stripes)")).toBe(true);
  });
});

describe("SvgContext", () => {
  test("rounds each corner of a rectangle as a canvas does", () => {
    const c = new SvgContext();
    c.beginPath();
    c.roundRect(0, 0, 10, 10, [2, 0, 0, 2]);
    c.fill();
    expect(c.parts[0]).toContain("M2 0H10V10H2a2 2 0 0 1 -2 -2V2a2 2 0 0 1 2 -2Z");
  });
  test("keeps dashes, opacity and anchors", () => {
    const c = new SvgContext();
    c.setLineDash([4, 2]);
    c.globalAlpha = 0.5;
    c.beginPath();
    c.moveTo(0, 0);
    c.lineTo(1.005, 2);
    c.stroke();
    expect(c.parts[0]).toContain('stroke-dasharray="4 2"');
    expect(c.parts[0]).toContain('opacity="0.5"');
    c.textAlign = "right";
    c.font = "600 12.5px Inter";
    c.fillText("<x>\u0000", 1, 2);
    expect(c.parts[1]).toContain('font-size="12.5" font-weight="600" text-anchor="end"');
    expect(c.parts[1]).toContain("&lt;x&gt;\ufffd");
  });
});
