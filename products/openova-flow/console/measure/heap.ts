import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launch, visit, whole } from "../test/support/browser.ts";
import { nodes, regionNode, release } from "../test/support/release.ts";
import { Server } from "../test/support/server.ts";

let browser: Browser;
let server: Server;
beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});

const MINUTES = Number(process.env["HEAP_MINUTES"] ?? "10");
const RELEASES = 60;
const UPDATES_A_SECOND = 10;
const SAMPLE_MS = 30_000;
/** The page keeps up to 20,000 messages for time travel. */
const BYTES_A_MESSAGE = 1500;

it(`heap and elements do not grow over ${MINUTES} minutes of ${UPDATES_A_SECOND} updates a second`, async () => {
  const of = (i: number, round: number): unknown => {
    const status = (["running", "succeeded", "failed"] as const)[(i + round) % 3] as "running" | "succeeded" | "failed";
    return release({ flow: "busy", region: `r${i % 2}`, name: `release-${i}`, status, startedAt: Date.now() - 5000, ...(status === "running" ? {} : { endedAt: Date.now() }) });
  };
  await server.post("busy", [nodes(regionNode("busy", "r0"), regionNode("busy", "r1"), ...Array.from({ length: RELEASES }, (_, i) => of(i, 0)))]);
  const { page, faults, close } = await visit(browser, `${server.url}?flow=busy&node=r0/release-0`);
  await whole(page);
  const cdp = await page.context().newCDPSession(page);
  const seen: { readonly updates: number; readonly bytes: number; readonly elements: number }[] = [];
  const until = Date.now() + MINUTES * 60_000;
  for (let round = 1, sampleAt = Date.now() + SAMPLE_MS; Date.now() < until; round++) {
    await server.post("busy", [nodes(of(round % RELEASES, Math.floor(round / RELEASES)))]);
    await new Promise((resolve) => setTimeout(resolve, 1000 / UPDATES_A_SECOND));
    if (Date.now() < sampleAt) continue;
    sampleAt += SAMPLE_MS;
    await cdp.send("HeapProfiler.collectGarbage");
    const { usedSize } = await cdp.send("Runtime.getHeapUsage");
    const { nodes: elements } = await cdp.send("Memory.getDOMCounters");
    seen.push({ updates: round, bytes: usedSize, elements });
    console.log(`${((seen.length * SAMPLE_MS) / 60_000).toFixed(1)} min, ${round} updates: ${(usedSize / 1e6).toFixed(1)} MB, ${elements} elements`);
  }
  await close();
  expect(faults).toEqual([]);
  const [from, last] = [seen[Math.floor(seen.length / 2)], seen.at(-1)];
  if (from === undefined || last === undefined) throw new Error("HEAP_MINUTES is too short");
  expect(last.bytes - from.bytes).toBeLessThan(BYTES_A_MESSAGE * (last.updates - from.updates) + 1e6);
  expect(last.elements).toBeLessThan(1.2 * from.elements);
});
