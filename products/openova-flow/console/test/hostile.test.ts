import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launch, visit, whole } from "./support/browser.ts";
import { CASES, post, survey, type Hostile } from "./support/hostile.ts";
import { Relay } from "./support/relay.ts";
import { Server } from "./support/server.ts";

let browser: Browser;
let server: Server;
beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});

// Some of the cases. `make fuzz-page` runs all of them, and mixtures.
const HERE = ["a cycle of 28 containers", "reserved and unprintable names", "the earliest and latest instants", "a region that lists an unwatched kind twice"];

it.each(HERE)("survives %s", async (name) => {
  const flow = `case-${HERE.indexOf(name)}`;
  const hostile = (CASES[name] as () => Hostile)();
  await post(server, flow, hostile);
  const { faults } = await survey(browser, server.url, flow, [hostile.nodes[0]?.id ?? ""]);
  expect(faults).toEqual([]);
});

it("shows two problems of one region, and the rest of the page", async () => {
  const flow = "claims";
  await post(server, flow, { nodes: [{ id: "fsn1/a", label: "a", status: "running", region: "fsn1" }, { id: "hel1/b", label: "b", status: "failed", region: "hel1", meta: { kind: "HelmRelease", reason: "InstallFailed" } }], rels: [] });
  const relay = await Relay.before(server);
  const at = Date.now() - 600_000;
  relay.setRegions(flow, { fsn1: { state: "stale", since: at, heard: at, cluster: "A", refused: { cluster: "B", at } } });
  const v = await visit(browser, `${relay.url}?flow=${flow}`);
  try {
    await whole(v.page);
    await expect.poll(() => v.page.locator("section[aria-labelledby=wrong] li").allInnerTexts().then((t) => t.map((s) => /cluster refused|region stale|failed/.exec(s)?.[0]).sort())).toEqual(["cluster refused", "failed", "region stale"]);
    expect(await v.page.locator("#outline [role=treeitem]").count()).toBe(4);
    expect(v.faults).toEqual([]);
  } finally {
    await v.close();
    relay.close();
  }
});
