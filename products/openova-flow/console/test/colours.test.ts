import { readFileSync } from "node:fs";
import { DISPLAY_STATES } from "@openova/flow-core";
import { describe, expect, it } from "vitest";

const css = readFileSync(new URL("../src/app.css", import.meta.url), "utf8");

function palette(scheme: "light" | "dark"): ReadonlyMap<string, string> {
  return new Map([...css.matchAll(/(--[\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);/g)].map((m) => [m[1] as string, m[scheme === "light" ? 2 : 3] as string]));
}

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const v = parseInt(hex.slice(i, i + 2), 16) / 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p) as [number, number];
  return (x + 0.05) / (y + 0.05);
}

const GROUNDS = ["--background", "--surface", "--raised", "--hover", "--chosen"];
const INKS = ["--text", "--muted", "--link", "--critical", ...DISPLAY_STATES.map((s) => `--${s}`)];

it("the page sets every colour of the canvas", () => {
  const graph = readFileSync(new URL("../src/flow/Graph.svelte", import.meta.url), "utf8");
  const given = [...graph.matchAll(/--flow-([\w-]+): var\(--\1\);/g)].map((m) => m[1] as string);
  const wanted = readFileSync(new URL("../../canvas/src/look/palette.ts", import.meta.url), "utf8");
  expect(given.sort()).toEqual([...wanted.matchAll(/^ {2}"?([\w-]+)"?: \[/gm)].map((m) => m[1] as string).sort());
  expect(given.filter((name) => !css.includes(`--${name}: `))).toEqual([]);
});

describe.each(["light", "dark"] as const)("the %s palette", (scheme) => {
  const colours = palette(scheme);
  it("has enough contrast for every text on every background", () => {
    const poor = INKS.flatMap((ink) =>
      GROUNDS.flatMap((ground) => {
        const c = contrast(colours.get(ink) ?? "#000000", colours.get(ground) ?? "#000000");
        return c >= 4.5 ? [] : [`${ink} on ${ground}: ${c.toFixed(2)}`];
      }),
    );
    expect(poor).toEqual([]);
  });
});
