import { describe, expect, test } from "vitest";
import { TextFitter } from "../src/look/text.js";

const half = (): TextFitter => new TextFitter(() => 0.5);

describe("fitting text", () => {
  test("text that fits is unchanged", () => {
    expect(half().fit("bp-loki", 35, 10)).toBe("bp-loki");
  });
  test("longer text is cut to fit and ends in an ellipsis", () => {
    const t = half();
    const cut = t.fit("bp-opentelemetry-operator", 60, 10);
    expect(cut).toBe("bp-opentele…");
    expect(t.width(cut, 10)).toBeLessThanOrEqual(60);
  });
  test.each([
    ["the distinct part is whole, the shared prefix is cut", "ingress-nginx-internal-controller", 14, 24, "ingr…internal-controller"],
    ["with more room, more of the shared prefix is kept", "ingress-nginx-internal-controller", 14, 31, "ingress-ngi…internal-controller"],
    ["the distinct part is cut if there is no room for it", "ingress-nginx-internal-controller", 14, 10, "…internal…"],
    ["without a shared prefix, the middle is cut", "kube-prometheus-stack", 0, 11, "kube…stack"],
    ["a short shared prefix is kept", "bp-kube-prometheus-stack", 4, 13, "bp-kub…-stack"],
    ["after a short shared prefix, the middle of the distinct part is cut", "a/worker", 2, 6, "a/w…er"],
    ["a name that is a prefix of another", "openova-flow-server", 19, 13, "openov…server"],
  ])("with the ellipsis in the middle: %s", (_, name, part, chars, cut) => {
    const t = half();
    expect(t.fit(name, chars * 5, 10, 400, part)).toBe(cut);
    expect(t.fit(name, name.length * 5, 10, 400, part)).toBe(name);
    for (let room = 0; room < 200; room++) expect(t.width(t.fit(name, room, 10, 400, part), 10)).toBeLessThanOrEqual(room);
  });
  test("no hyphen or space is left before the ellipsis", () => {
    expect(half().fit("waiting for bp", 42, 10)).toBe("waiting…");
    expect(half().fit("a-b-c-d-e-f", 30, 10)).toBe("a-b-c…");
  });
  test.each([0, -5, 3])("the result is empty for a room of %i", (room) => {
    expect(half().fit("cilium", room, 10)).toBe("");
  });
  test("surrogate pairs are not split", () => {
    const cut = half().fit("🙂🙂🙂🙂🙂🙂", 20, 10);
    expect(cut).toBe("🙂🙂🙂…");
  });
  test("every character is measured once per weight", () => {
    const measured: string[] = [];
    const t = new TextFitter((c, w) => {
      measured.push(`${c}${w}`);
      return 0.5;
    });
    for (let k = 0; k < 50; k++) t.fit(`banana ${k % 3}`, 1000, 10, 600);
    expect(measured.toSorted()).toEqual([..." 012abn…"].map((c) => `${c}600`).toSorted());
  });
  test("a full cache does not change results", () => {
    const t = new TextFitter(() => 0.5, 16);
    for (let k = 0; k < 100; k++) expect(t.fit(`name-${k}`, 1000, 10)).toBe(`name-${k}`);
  });
});
