import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launch, says, visit, type Visit, type VisitOptions } from "./support/browser.ts";
import { nodes, regionNode, release } from "./support/release.ts";
import { program, Server } from "./support/server.ts";

const folder = mkdtempSync(join(tmpdir(), "report-"));
const hostile = `</script><img src=x onerror=alert(1)>`;
let browser: Browser;

/** Waits as a pipeline does; answers the exit code. */
function wait(url: string, flow: string): Promise<number | null> {
  const child = spawn(program(), ["wait", "--url", url, "--flow", flow, "--timeout", "5s", "--settle", "0s", "--report", join(folder, `${flow}.html`)], { stdio: "ignore" });
  return new Promise((resolve) => child.once("exit", resolve));
}

const judged = (state: string, more = {}): Readonly<Record<string, unknown>> => ({ judgement: { state, gate: state === "ready" ? "pass" : "wait", ...more } });
const givenUp = judged("broken", { problem: true, final: true, gate: "fail", cause: { class: "given-up", sentence: `web was given up. ${hostile}` }, command: ["flux", "reconcile", "helmrelease", "web", "-n", "shop"] });

beforeAll(async () => {
  const [started, server] = await Promise.all([launch(), Server.start()]);
  browser = started;
  try {
    const at = Date.now();
    const of = (name: string, state: "running" | "succeeded" | "failed", meta: Readonly<Record<string, unknown>>): unknown =>
      release({ flow: "shop", region: "fsn1", namespace: "shop", name, status: state, startedAt: at, ...(state === "running" ? {} : { endedAt: at + 1000 }), meta });
    await server.post("shop", [nodes(regionNode("shop", "fsn1"), of("web", "running", judged("working")), of("db", "running", judged("working")))]);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    // More messages than one answer of the server has.
    await server.post("shop", Array.from({ length: 1100 }, (_, i) => nodes(of("db", "running", { ...judged("working"), failures: i }))));
    await server.post("shop", [nodes(of("db", "succeeded", judged("ready")), of("web", "failed", givenUp))]);
    expect(await wait(server.url, "shop")).toBe(1);
    expect(await wait(server.url, "nowhere")).toBe(2);
  } finally {
    await server.kill();
  }
});
afterAll(() => browser.close());

/** Opens a report from disk, without a network and without the server. */
async function open(flow: string, options: VisitOptions = {}): Promise<Visit & { readonly requests: string[] }> {
  const requests: string[] = [];
  const file = pathToFileURL(join(folder, `${flow}.html`)).href;
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

describe("the report, opened from disk without a network", () => {
  for (const [width, scheme] of [[1440, "dark"], [1440, "light"], [390, "light"], [390, "dark"]] as const) {
    it(`says the verdict and what was wrong, and draws the flow: ${width} pixels, ${scheme}`, async () => {
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
      expect(requests).toHaveLength(1);
      expect(faults).toEqual([]);
      await close();
    });
  }

  it("goes through the recording", async () => {
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

  it("has the timeline, and the details of a release", async () => {
    const { page, faults, close } = await open("shop");
    await page.getByRole("link", { name: "Timeline" }).click();
    await says(page.getByRole("region", { name: "Timeline" }), /web/);
    await page.getByRole("region", { name: "What was wrong" }).getByRole("link").first().click();
    await says(page.getByRole("complementary", { name: "Details" }), /shop.*web.*Changes/s);
    expect(faults).toEqual([]);
    await close();
  });

  it("says so when there is no recording", async () => {
    const { page, faults, close } = await open("nowhere");
    await says(page.getByRole("heading", { level: 1 }), /Timed out/);
    await says(page.locator("main"), /no recording/);
    expect(faults).toEqual([]);
    await close();
  });
});
