import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Browser, Page } from "playwright-core";
import { launch, says, whole, type VisitOptions } from "./support/browser.ts";
import { everyState } from "./support/release.ts";
import { replay } from "./support/replay.ts";
import { Server } from "./support/server.ts";
import { visits } from "./support/visits.ts";

let browser: Browser;
let server: Server;
const openPage = visits();

beforeAll(async () => {
  browser = await launch();
  server = await Server.start();
  await server.post("fits", [everyState("fits")]);
  await replay(server, ["kit-fsn1", "kit-hel1"]);
  await replay(server, ["scenarios"], { flow: "scenarios" });
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});

const open = (query: string, options: VisitOptions = {}): Promise<Page> => openPage(browser, `${server.url}${query}`, options);

describe("a filter", () => {
  it("is set by a click on its label, and closed by Escape or a click elsewhere", async () => {
    const page = await open("?flow=bootstrap&view=timeline");
    const button = page.getByRole("button", { name: /^Region/ });
    await button.click();
    const words = page.getByRole("group", { name: "Region" }).getByText("hel1", { exact: true });
    const box = await words.boundingBox();
    if (box === null) throw new Error("the filter has no words");
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await expect.poll(() => new URL(page.url()).searchParams.getAll("region")).toEqual(["hel1"]);
    expect(await words.isVisible()).toBe(true);
    await page.keyboard.press("Escape");
    await expect.poll(() => words.isVisible()).toBe(false);
    await button.click();
    await expect.poll(() => words.isVisible()).toBe(true);
    await page.getByRole("heading", { level: 1 }).click();
    await expect.poll(() => words.isVisible()).toBe(false);
  });
});

describe("the states", () => {
  it.each([390, 1024, 1200, 1440, 1900, 2560])("all have words at a width of %i, with every filter set", async (width) => {
    await server.post("states", [everyState("states")]);
    const page = await open("?flow=states&region=r1&region=r2&family=family-1&namespace=team-a&state=broken&view=table", { width });
    const group = page.getByRole("group", { name: "Filter by state" });
    await says(group, /3 broken 3 being deleted 3 waiting 3 working 3 not started 3 suspended 3 ready/);
    await whole(page);
    const outside = await page.locator(".toolbar").evaluate((bar) => {
      const room = bar.getBoundingClientRect();
      const texts = [...bar.querySelectorAll(".states .button")].filter((e) => e.scrollWidth > e.clientWidth);
      const boxes = [...bar.querySelectorAll("button, a, input")].map((e) => e.getBoundingClientRect()).filter((b) => b.width > 0);
      const crossing = boxes.filter((a, i) => boxes.some((b, j) => i < j && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1));
      return [...texts.map((e) => e.textContent), ...boxes.filter((b) => b.right > room.right || b.left < room.left).map((b) => b.left), ...crossing.map((b) => b.left)];
    });
    expect(outside).toEqual([]);
  });
});

describe("header, problems and time bar", () => {
  it.each([320, 390, 1024, 1440])("fit at a width of %i, with names that are whole", async (width) => {
    await server.post("fits", [everyState("fits")]);
    const page = await open("?flow=fits", { width });
    await page.getByRole("slider", { name: "Instant" }).waitFor();
    await says(page.locator("header").first(), /rollout \S+ (rolling out|broken)/);
    await whole(page);
    const cut = await page.evaluate(() => {
      const bars = [...document.querySelectorAll("header, [aria-label='Time travel']")];
      const parts = bars.flatMap((bar) => [...bar.querySelectorAll(".line, .line *, button, input")]);
      const isCut = (e: Element): boolean => e.scrollWidth > e.clientWidth && getComputedStyle(e).overflow === "hidden";
      const isOutside = (e: Element): boolean => e.getBoundingClientRect().right > innerWidth;
      const names = document.querySelectorAll("[aria-labelledby='wrong'] b [aria-hidden]");
      return [...parts.filter((e) => isCut(e) || isOutside(e)), ...names].map((e) => e.outerHTML);
    });
    expect(cut).toEqual([]);
  });
});

describe("the views", () => {
  it("offer a matrix only with several regions", async () => {
    const page = await open("?flow=scenarios");
    const views = page.getByRole("navigation", { name: "Views" });
    await says(views, /Graph Timeline Table Rollouts/);
    await page.goto(`${server.url}?flow=bootstrap`);
    await says(views, /Graph Timeline Table Matrix Rollouts/);
  });
});
