import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launch } from "./support/browser.ts";
import { Server } from "./support/server.ts";

let browser: Browser;
const ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  for (const end of ends) await end();
});

describe("the page in a frame of another origin", () => {
  it.each([["self", false], ["none", false], ["listed", true]] as const)("with FLOW_SERVER_FRAME_ANCESTORS %s is shown: %s", async (setting, isShown) => {
    let inner = "";
    const outer = createServer((_, response) => response.setHeader("content-type", "text/html").end(`<!doctype html><iframe src="${inner}" width="900" height="600"></iframe>`));
    await new Promise<void>((resolve) => outer.listen(0, "127.0.0.1", resolve));
    const origin = `http://127.0.0.1:${(outer.address() as AddressInfo).port}`;
    const server = await Server.start("/", { FLOW_SERVER_INSECURE: "true", FLOW_SERVER_FRAME_ANCESTORS: setting === "listed" ? `self,${origin}` : setting });
    ends.push(() => server.kill(), () => new Promise((resolve) => outer.close(resolve)));
    inner = server.url;
    const page = await browser.newPage();
    await page.goto(origin);
    const framed = page.frameLocator("iframe").locator("h2");
    if (isShown) await expect.poll(() => framed.allInnerTexts()).toEqual(["No flow yet"]);
    else await expect.poll(() => page.frames().map((f) => f.url())).toContain("chrome-error://chromewebdata/");
    expect(await framed.count()).toBe(isShown ? 1 : 0);
    await page.close();
  });
});
