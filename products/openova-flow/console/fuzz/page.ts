import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launch } from "../test/support/browser.ts";
import { CASES, Dice, mixture, post, survey, type Hostile } from "../test/support/hostile.ts";
import { Server } from "../test/support/server.ts";

let browser: Browser;
let server: Server;
beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start("/", { FLOW_SERVER_MAX_STATE_BYTES: String(2 ** 30) })]);
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});

const SECONDS = Number(process.env["FUZZ_PAGE_TIME"] ?? "60");
const FIRST = Number(process.env["FUZZ_PAGE_SEED"] ?? Date.now() % 1_000_000);

it.each(Object.keys(CASES))("survives %s", async (name) => {
  const flow = `case-${Object.keys(CASES).indexOf(name)}`;
  const hostile = (CASES[name] as () => Hostile)();
  await post(server, flow, hostile);
  const { faults } = await survey(browser, server.url, flow, [hostile.nodes[0]?.id ?? ""]);
  expect(faults).toEqual([]);
});

it("survives random flows", async () => {
  const until = Date.now() + SECONDS * 1000;
  let seed = FIRST;
  for (; seed === FIRST || Date.now() < until; seed++) {
    const flow = `f${seed}`;
    const hostile = mixture(seed);
    await post(server, flow, hostile);
    const { faults } = await survey(browser, server.url, flow, hostile.nodes.slice(0, 3).map((n) => n.id), seed % 2 === 0 ? {} : { width: 390 });
    expect(faults, `FUZZ_PAGE_SEED=${seed} FUZZ_PAGE_TIME=0`).toEqual([]);
    await fetch(`${server.url}v1/flows/${flow}`, { method: "DELETE" });
  }
  console.log(`${seed - FIRST} random flows from seed ${FIRST} on`);
});

const NODES = 20_000;
const EDGES = 100_000;
const LARGE: Readonly<Record<string, (d: Dice) => Hostile>> = {
  "without cycles": (d) => large(() => {
    const a = d.below(NODES - 1);
    return [a, a + 1 + d.below(Math.min(40, NODES - 1 - a))];
  }, 40),
  random: () => large((d) => [d.below(NODES), d.below(NODES)], 1),
  "in 20,000 regions": () => large((d) => [d.below(NODES), d.below(NODES)], NODES),
};

function large(pick: (d: Dice) => readonly [number, number], regions: number): Hostile {
  const d = new Dice(5);
  const id = (i: number): string => `r/${i}`;
  const statuses = ["failed", "running", "succeeded", "pending"];
  const nodes = Array.from({ length: NODES }, (_, i) => ({
    id: id(i), label: `release-${i}`, status: statuses[i % 4], region: `r${i % regions}`, startedAt: 1_700_000_000_000,
    meta: { kind: "HelmRelease", namespace: "n", ...(i % 4 === 0 ? { reason: "InstallFailed", message: "context deadline exceeded" } : {}) },
  }));
  const rels = Array.from({ length: EDGES }, () => pick(d)).map(([a, b]) => ({ fromId: id(a), toId: id(b), type: "finish-to-start" }));
  return { nodes, rels };
}

// Only prints the longest tasks: on a loaded machine their times are not reliable enough for a limit.
it.each(Object.entries(LARGE))(`shows ${NODES} nodes and ${EDGES} edges %s`, async (name, make) => {
  const flow = `large-${Object.keys(LARGE).indexOf(name)}`;
  const hostile = make(new Dice(5));
  await post(server, flow, hostile);
  const { faults, longest } = await survey(browser, server.url, flow, [hostile.nodes[7]?.id ?? ""]);
  console.log(`${NODES} nodes, ${EDGES} edges, ${name}: longest task in ms: ${Object.entries(longest).map(([what, ms]) => `${what} ${ms.toFixed(0)}`).join(", ")}`);
  expect(faults).toEqual([]);
  await fetch(`${server.url}v1/flows/${flow}`, { method: "DELETE" });
});
