import { buildGraph, emptyState, fold, layout } from "@openova/flow-core";
import { expect, test } from "vitest";
import { palette } from "../src/look/palette.js";
import { TextFitter } from "../src/look/text.js";
import { themeOf } from "../src/look/theme.js";
import { paintNodes } from "../src/paint/nodes.js";
import { paintOverlay } from "../src/paint/overlay.js";
import type { Context, Pen } from "../src/paint/pen.js";
import { Scene } from "../src/scene/scene.js";
import type { View } from "../src/view/view.js";

/** The texts that a painter draws. */
function textsOf(paint: (pen: Pen) => void): string[] {
  const texts: string[] = [];
  const c = new Proxy({}, { get: (_, name) => (text: unknown) => void (name === "fillText" && texts.push(String(text))), set: () => true }) as Context;
  paint({ c, theme: themeOf((name) => palette[name][0]), text: new TextFitter(() => 0.55), dpr: 1, family: "sans-serif", glyph: () => undefined, stripes: () => undefined });
  return texts;
}

test.each([0.68, 0.75, 1, 2])("at scale %d a card has a tooltip exactly if its name or caption is cut", (k) => {
  const results = new Set<boolean>();
  for (let length = 14; length <= 44; length++) {
    const node = { id: "a".repeat(length), flowId: "f", label: "a".repeat(length), status: "failed", meta: { reason: "Reason".padEnd(30, "x") } };
    for (const meta of [{ reason: "Short" }, node.meta]) {
      const state = fold(emptyState("f"), { type: "upsert-nodes", nodes: [{ ...node, meta }] });
      const graph = buildGraph(state);
      const scene = new Scene(graph, layout(graph), new Map(), { nodes: state.nodes, now: 0 });
      const view: View = { scene, camera: { x: 0, y: 0, k }, size: { width: 1000, height: 800 }, level: "card", emphasis: null, moving: false };
      const isCut = textsOf((pen) => paintNodes(pen, view, [0])).some((text) => text.includes("…"));
      const hasTooltip = textsOf((pen) => paintOverlay(pen, view, { selected: -1, hovered: 0, selectedFrame: undefined, hoveredFrame: undefined, focused: false })).length > 0;
      expect(hasTooltip, `${length} ${meta.reason}`).toBe(isCut);
      results.add(isCut);
    }
  }
  expect(results.size).toBe(2);
});

test("a dimmed card, which has no caption, has a tooltip", () => {
  const state = fold(emptyState("f"), { type: "upsert-nodes", nodes: [{ id: "a", flowId: "f", label: "a", status: "failed" }] });
  const graph = buildGraph(state);
  const scene = new Scene(graph, layout(graph), new Map(), { nodes: state.nodes, now: 0 });
  const view = (dim: number): View => ({
    scene, camera: { x: 0, y: 0, k: 1 }, size: { width: 1000, height: 800 }, level: "card", moving: false,
    emphasis: { dim: Uint8Array.of(dim), blockedBy: [], blocks: [], critical: [], near: [] },
  });
  const tooltip = (dim: number): string[] => textsOf((pen) => paintOverlay(pen, view(dim), { selected: -1, hovered: 0, selectedFrame: undefined, hoveredFrame: undefined, focused: false }));
  expect(tooltip(0)).toEqual([]);
  expect(tooltip(1)).toEqual(["a", "failed"]);
});
