import type {} from "@openova/flow-canvas";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VIEWS } from "../src/lib/views.ts";
import { violations } from "./support/axe.ts";
import { launch, says } from "./support/browser.ts";
import { Cluster } from "./support/gitops.ts";
import { everyState, nodes } from "./support/release.ts";
import { Server } from "./support/server.ts";
import { visits } from "./support/visits.ts";

const FLOW = "every";

let browser: Browser;
let server: Server;
const openPage = visits();

beforeAll(async () => {
  browser = await launch();
  server = await Server.start();
  const git = new Cluster(FLOW, "r1");
  const revision = (letter: string): string => `main@sha1:${letter.repeat(40)}`;
  const now = Date.now();
  await server.post(FLOW, [everyState(FLOW), nodes(...git.settled(revision("a"), now - 300_000))]);
  // There must be a past to play.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await server.post(FLOW, [nodes(git.source(revision("b"), now), git.release("api", "web", 2, "running", now))]);
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});

const dialogs = (page: Page): Promise<number> => page.getByRole("dialog").count();
const toolbar = (page: Page, name: string | RegExp): ReturnType<Page["locator"]> => page.getByRole("region", { name: "Views, filters and search" }).getByRole("button", { name });

async function openPalette(page: Page, query: string): Promise<void> {
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: /^Go to/ }).fill(query);
  await expect.poll(() => page.getByRole("dialog").getByRole("option").count()).toBeGreaterThan(0);
}
async function escape(page: Page): Promise<void> {
  await page.keyboard.press("Escape");
  await expect.poll(() => dialogs(page)).toBe(0);
}

describe.each([1440, 1024, 390])("at a width of %i", (width) => {
  const isPhone = width < 860;

  it.each(["light", "dark"] as const)("no page, view or panel violates a rule of accessibility in %s", async (scheme) => {
    const page = await openPage(browser, server.url, { width, height: isPhone ? 844 : 900, scheme });
    const found: string[] = [];
    const look = async (what: string, within?: string): Promise<void> => {
      for (const violation of await violations(page, within)) found.push(`${what}: ${violation}`);
    };
    await page.context().grantPermissions(["notifications"]);

    await says(page.getByRole("article"), /every/);
    await look("the fleet");
    await openPalette(page, "re");
    await look("its palette", "dialog");
    await escape(page);
    await page.getByRole("article").getByRole("link", { name: FLOW }).click();

    await says(page.getByRole("tree"), /r1/);
    if (isPhone) await look("what is wrong");
    for (const view of VIEWS) {
      await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: view.name, exact: true }).click();
      await page.getByRole("main", { name: `${view.id} of ${FLOW}` }).waitFor();
      await look(view.name);
    }

    await page.keyboard.press("l");
    await page.getByRole("table").getByRole("link", { name: "api", exact: true }).click();
    await says(page.locator("#details"), /Commands/);
    await page.locator("#details").getByRole("button", { name: /^Context of r1/ }).first().click();
    await look("details");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await expect.poll(() => page.locator("#details").count()).toBe(0);

    for (const filter of ["Region", "Family", "Namespace"]) {
      await toolbar(page, filter).click();
      await page.getByRole("group", { name: filter, exact: true }).waitFor();
      await look(`filter by ${filter}`, "[popover]:popover-open");
      if (filter === "Namespace") await page.getByRole("checkbox", { name: "Group by namespace" }).check();
      await page.keyboard.press("Escape");
    }
    await page.keyboard.press("t");
    await says(page.getByRole("region", { name: "Timeline" }), /team-a \d/);
    await look("the grouped timeline");
    await page.keyboard.press("/");
    await page.keyboard.type("broken");
    await page.getByRole("listbox", { name: "Matches" }).waitFor();
    await look("search");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Notify me when it is done or broken" }).click();
    await says(page.locator("header").first().getByRole("status"), /Notifications are on/);
    await look("notifications", "header");

    if (!isPhone) {
      await page.keyboard.press("g");
      await page.getByRole("button", { name: "Legend" }).click();
      await says(page.locator(".legend"), /critical path/);
      await look("legend", ".legend");
      await page.keyboard.press("Escape");
    }
    await openPalette(page, "api");
    await look("palette", "dialog");
    await escape(page);
    await page.keyboard.press("?");
    await says(page.getByRole("dialog"), /Everywhere/);
    await look("help", "dialog");
    await escape(page);

    await page.keyboard.press("p");
    await expect.poll(() => page.locator("header").first().innerText()).toMatch(/at \d/);
    await look("the past");
    await page.goto(`${server.url}?flow=nowhere`);
    await says(page.locator("main"), /There is no flow nowhere/);
    await look("no such flow");
    expect(found).toEqual([]);
  });
});
