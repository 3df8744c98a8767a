import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { violations } from "./support/axe.ts";
import { launch, says, visit, type Visit, type VisitOptions } from "./support/browser.ts";
import { nodes, regionNode, release } from "./support/release.ts";
import { replay } from "./support/replay.ts";
import { Server } from "./support/server.ts";
import { wait } from "./support/wait.ts";

const hostile = `</script><img src=x onerror=alert(1)>`;
let browser: Browser;
/** The reports' files, by flow. */
const files = new Map<string, string>();

const judged = (state: string, more = {}): Readonly<Record<string, unknown>> => ({ judgement: { state, gate: state === "ready" ? "pass" : "wait", ...more } });
const givenUp = judged("broken", { problem: true, final: true, gate: "fail", cause: { class: "given-up", sentence: `web was given up. ${hostile}` }, command: ["flux", "reconcile", "helmrelease", "web", "-n", "shop"] });

beforeAll(async () => {
  const [started, server] = await Promise.all([launch(), Server.start()]);
  browser = started;
  try {
    await server.post("again", [nodes(regionNode("again", "fsn1"))]);
    const at = Date.now();
    const again = (status: "running" | "succeeded", state: string, endedAt?: number): string =>
      nodes(release({ flow: "again", region: "fsn1", namespace: "shop", name: "web", status, startedAt: at, ...(endedAt === undefined ? {} : { endedAt }), meta: judged(state) }));
    await server.post("again", [again("running", "working")]);
    // Its claim has expired by the time that somebody waits for it.
    await server.post("away", [nodes(release({ flow: "away", region: "hel1", namespace: "shop", name: "web", status: "succeeded", startedAt: at, endedAt: at, meta: judged("ready") }))]);
    expect(await server.claim("away", "hel1", "6f1c2a1e-4b7d-4e11-9d55-0b6f0f6f7a10", 5)).toBe(200);
    const of = (name: string, state: "running" | "succeeded" | "failed", meta: Readonly<Record<string, unknown>>): unknown =>
      release({ flow: "shop", region: "fsn1", namespace: "shop", name, status: state, startedAt: at, ...(state === "running" ? {} : { endedAt: at + 1000 }), meta });
    await server.post("shop", [nodes(regionNode("shop", "fsn1"), of("web", "running", judged("working")), of("db", "running", judged("working")))]);
    // Long enough to play `again` for more than one tick.
    await new Promise((resolve) => setTimeout(resolve, 4000));
    await server.post("again", [again("succeeded", "ready", Date.now())]);
    // More messages than `wait` gets with one request.
    await server.post("shop", Array.from({ length: 1100 }, (_, i) => nodes(of("db", "running", { ...judged("working"), failures: i }))));
    await server.post("shop", [nodes(of("db", "succeeded", judged("ready")), of("web", "failed", givenUp))]);
    await replay(server, ["real-d-kustomizations"], { flow: "recorded" });
    for (const [flow, exit, ...flags] of [["again", 0], ["shop", 1], ["nowhere", 2], ["recorded", 2, "--revision", "e08691"], ["away", 2, "--region", "hel1", "--release", "shop/web", "--release", "shop/none"]] as const) {
      const waited = await wait(server.url, flow, ...flags);
      expect([flow, waited.exit]).toEqual([flow, exit]);
      files.set(flow, waited.report);
    }
  } finally {
    await server.kill();
  }
});
afterAll(() => browser.close());

/** Opens a report from disk, without a network and without the server. */
async function open(flow: string, options: VisitOptions = {}): Promise<Visit & { readonly requests: string[] }> {
  const requests: string[] = [];
  const file = pathToFileURL(files.get(flow) ?? "").href;
  const setup: VisitOptions["setup"] = async (page) => {
    await page.context().setOffline(true);
    await page.route("**", (route) => (route.request().url().startsWith(file) ? route.continue() : route.abort()));
    page.on("request", (r) => requests.push(r.url()));
  };
  const opened = await visit(browser, file, { ...options, setup });
  return { ...opened, requests };
}

/** Whether the canvas has more than its background. */
function isDrawn(page: Visit["page"]): Promise<boolean> {
  return page.locator("openova-flow").evaluate((element) =>
    [...(element.shadowRoot?.querySelectorAll("canvas") ?? [])].some((canvas) => {
      const { width, height } = canvas;
      const data = canvas.getContext("2d")?.getImageData(0, 0, width, height).data ?? [];
      const colours = new Set<number>();
      for (let i = 0; i < data.length; i += 4) colours.add(((data[i] ?? 0) << 16) | ((data[i + 1] ?? 0) << 8) | (data[i + 2] ?? 0));
      return colours.size > 8;
    }),
  );
}

const SCREENS = [[1440, "dark"], [1440, "light"], [390, "light"], [390, "dark"]] as const;

describe("the report of real controllers, opened from disk without a network", () => {
  for (const [width, scheme] of SCREENS) {
    it(`has every view, without a violation of accessibility: ${width} pixels, ${scheme}`, async () => {
      const { page, faults, requests, close } = await open("recorded", { width, height: 900, scheme });
      await says(page.getByRole("heading", { level: 1 }), /Timed out/);
      await says(page.locator("header"), /recorded, revision e08691/);
      await says(page.getByRole("region", { name: "What was wrong" }), /real\/kz\/hrbad install failed/);
      await expect.poll(() => isDrawn(page)).toBe(true);
      expect(await violations(page)).toEqual([]);
      const views = page.getByRole("navigation", { name: "Views" }).getByRole("link");
      expect(await views.allInnerTexts()).toEqual(["Graph", "Timeline", "Table", "Rollouts", "Revisions"]);
      for (const [view, text] of [["Timeline", /pruneme worked/], ["Table", /badbuild/], ["Rollouts", /rollout/i], ["Revisions", /e08691a7.*8b496425/]] as const) {
        await views.filter({ hasText: view }).click();
        await says(page.locator("main"), text);
        expect([view, await violations(page)]).toEqual([view, []]);
      }
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      expect(requests).toHaveLength(1);
      expect(faults).toEqual([]);
      await close();
    });
  }
});

describe("the report, opened from disk without a network", () => {
  for (const [width, scheme] of SCREENS) {
    it(`shows the verdict and the problems, and draws the flow: ${width} pixels, ${scheme}`, async () => {
      const { page, faults, requests, close } = await open("shop", { width, height: 900, scheme });
      await says(page.getByRole("heading", { level: 1 }), /Failed/);
      await says(page.locator("header"), /shop.*1 of 2 done/);
      const wrong = page.getByRole("region", { name: "What was wrong" });
      await says(wrong, /fsn1\/shop\/web.*given up.*flux .*reconcile helmrelease web -n shop/);
      expect(await wrong.innerText()).toContain(hostile);
      await expect.poll(() => isDrawn(page)).toBe(true);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      expect(await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches)).toBe(scheme === "dark");
      const [r = 0] = (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g)?.map(Number) ?? [];
      expect(r > 128).toBe(scheme === "light");
      expect(await violations(page)).toEqual([]);
      expect(requests).toHaveLength(1);
      expect(faults).toEqual([]);
      await close();
    });
  }

  it("plays the recording", async () => {
    const { page, faults, close } = await open("shop");
    await page.getByRole("link", { name: "Table" }).click();
    await says(page.locator("main"), /broken web/);
    expect(await page.getByRole("region", { name: "Recording" }).locator("i").count()).toBe(1); // one failure, at the end
    const slider = page.getByRole("slider", { name: "Instant" });
    await slider.press("PageDown");
    await says(page.locator("main"), /working web/);
    expect(await page.getByRole("heading", { level: 1 }).innerText()).toContain("Failed");
    await page.getByRole("button", { name: "End" }).click();
    await says(page.locator("main"), /broken web/);
    await page.getByRole("button", { name: "Play" }).click();
    await says(page.getByRole("region", { name: "Recording" }), /the end/);
    expect(faults).toEqual([]);
    await close();
  });

  it("plays the recording once if a rollout is replayed meanwhile", async () => {
    const { page, faults, close } = await open("again");
    await page.clock.install();
    await page.clock.pauseAt(Date.now() + 60_000);
    await page.getByRole("link", { name: "Rollouts" }).click();
    await page.getByRole("button", { name: "Play", exact: true }).click();
    await page.clock.runFor(150); // the rollout has begun
    await page.getByRole("button", { name: "Replay" }).click();
    await page.clock.runFor(10_000);
    const recording = page.getByRole("region", { name: "Recording" });
    await says(recording, /the end/);
    await page.getByRole("slider", { name: "Instant" }).press("PageDown");
    await page.clock.runFor(1000);
    expect(await recording.innerText()).not.toContain("the end");
    expect(faults).toEqual([]);
    await close();
  });

  it("lists what was waited for", async () => {
    const { page, faults, close } = await open("shop");
    const objects = page.getByRole("region", { name: "Objects" });
    expect(await objects.getByRole("heading").innerText()).toBe("Not done 1");
    expect(await objects.locator("> ul").innerText()).toMatch(/^fsn1\/shop\/web broken: web was given up/);
    const done = objects.locator("details");
    expect(await done.innerText()).toBe("Done 1");
    await done.locator("summary").click();
    expect((await done.locator("li").allInnerTexts()).map((t) => t.trim())).toEqual(["fsn1/shop/db ready"]);
    await done.getByRole("link").click();
    const details = page.getByRole("complementary", { name: "Details" });
    await says(details, /db/);
    await page.keyboard.press("Escape");
    await expect.poll(() => details.count()).toBe(0);
    expect(faults).toEqual([]);
    await close();
  });

  it("names the list of objects if all are done", async () => {
    const { page, faults, close } = await open("again");
    expect(await page.getByRole("region", { name: "Objects" }).innerText()).toBe("Done 1");
    expect(faults).toEqual([]);
    await close();
  });

  it("names a stale region, and what does not exist", async () => {
    const { page, faults, close } = await open("away");
    await says(page.getByRole("heading", { level: 1 }), /Timed out/);
    await says(page.locator("header"), /away, region hel1 .*0 of 1 done.* after 5s of waiting/);
    expect(await page.getByRole("region", { name: "What was wrong" }).locator("li").allInnerTexts()).toEqual([expect.stringMatching(/^Region hel1 is stale, last seen at \d/), "HelmRelease shop/none does not exist."]);
    await says(page.getByRole("region", { name: "Objects" }), /hel1\/shop\/web ready: Region hel1 is stale/);
    expect(faults).toEqual([]);
    await close();
  });

  it("says what it leaves out", async () => {
    const file = files.get("shop") ?? "";
    const cut = file.replace(".html", "-cut.html");
    const text = readFileSync(file, "utf8");
    writeFileSync(cut, text.replace('"leftOut":{"objects":0,"problems":0}', '"leftOut":{"objects":7,"problems":1}').replace('"dropped":0,"missing":[]', '"dropped":3,"missing":["rollouts"]'));
    files.set("cut", cut);
    const whole = await open("shop");
    expect(await whole.page.locator("header").innerText()).not.toContain("Not in this report");
    await whole.close();
    const { page, faults, close } = await open("cut");
    await says(page.locator("header"), /Not in this report: 1 cause, 7 objects, the oldest 3 messages, rollouts\./);
    expect(faults).toEqual([]);
    await close();
  });

  it("has the timeline, and the details of a release", async () => {
    const { page, faults, close } = await open("shop");
    await page.getByRole("link", { name: "Timeline" }).click();
    await says(page.getByRole("region", { name: "Timeline" }), /web/);
    await page.getByRole("region", { name: "What was wrong" }).getByRole("link").first().click();
    await says(page.getByRole("complementary", { name: "Details" }), /shop.*web.*Changes/s);
    expect(faults).toEqual([]);
    await close();
  });

  it("shows that there is no recording", async () => {
    const { page, faults, close } = await open("nowhere");
    await says(page.getByRole("heading", { level: 1 }), /Timed out/);
    await says(page.locator("main"), /no recording/);
    expect(await page.getByRole("region", { name: "No problems" }).count()).toBe(1);
    expect(faults).toEqual([]);
    await close();
  });
});
