import { readFileSync } from "node:fs";
import { DISPLAY_STATES } from "@openova/flow-core";
import { describe, expect, it } from "vitest";

const css = readFileSync(new URL("../src/app.css", import.meta.url), "utf8");

/** The custom properties of a block that begins with `selector {`. */
function block(selector: string): ReadonlyMap<string, string> {
  const at = css.indexOf(`${selector} {`);
  const body = css.slice(at, css.indexOf("}", at));
  return new Map([...body.matchAll(/(--[\w-]+):\s*(#[0-9a-f]{6});/g)].map((m) => [m[1] as string, m[2] as string]));
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

describe.each([
  ["light", ":root"],
  ["dark", ':root[data-theme="dark"]'],
])("in the %s", (_, selector) => {
  const colours = block(selector);
  it("every ink can be read on every ground", () => {
    const poor = INKS.flatMap((ink) =>
      GROUNDS.flatMap((ground) => {
        const c = contrast(colours.get(ink) ?? "#000000", colours.get(ground) ?? "#000000");
        return c >= 4.5 ? [] : [`${ink} on ${ground}: ${c.toFixed(2)}`];
      }),
    );
    expect(poor).toEqual([]);
  });
});

it("is the same dark by choice as by system", () => {
  expect([...block(':root:not([data-theme="light"])')]).toEqual([...block(':root[data-theme="dark"]')]);
});
