import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { violations } from "./support/axe.ts";
import { launch, says, type VisitOptions } from "./support/browser.ts";
import { Cluster, push, REGIONS } from "./support/gitops.ts";
import { nodes, regionNode } from "./support/release.ts";
import { Server } from "./support/server.ts";
import { visits } from "./support/visits.ts";

const commit = (letter: string): string => letter.repeat(40);
const revision = (letter: string): string => `main@sha1:${commit(letter)}`;
const [A, B, C] = ["a", "b", "c"].map(revision) as [string, string, string];
const MINUTE = 60_000;

let browser: Browser;
let server: Server;
const openPage = visits();

beforeAll(async () => {
  browser = await launch();
  server = await Server.start();
  await push(server, "git", A, B, C);
  const now = Date.now();
  const moved = new Cluster("moved", "r1");
  await server.post("moved", [nodes(...moved.settled(A, now - 5 * MINUTE))]);
  await server.post("moved", [nodes(moved.source(B, now - MINUTE))]);
  await server.post("elsewhere", [nodes(...["r1", "r2"].flatMap((r) => new Cluster("elsewhere", r).settled(revision("e"), now - 5 * MINUTE)))]);
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});

const open = (query: string, options: VisitOptions = {}): Promise<Page> => openPage(browser, `${server.url}${query}`, options);
const table = (page: Page): Locator => page.getByRole("region", { name: "Revisions by region" });
const row = (page: Page, letter: string): Locator => table(page).locator("tbody tr", { has: page.locator(`th > .name:first-child [title="${revision(letter)}"]`) });
async function cells(page: Page, letter: string): Promise<Record<string, string>> {
  const heads = await table(page).locator("thead th").allInnerTexts();
  const texts = await row(page, letter).locator("td").allInnerTexts();
  return Object.fromEntries(heads.slice(1).map((h, i) => [h.trim(), (texts[i] ?? "").trim()]));
}
const search = (page: Page): URLSearchParams => new URL(page.url()).searchParams;

describe("the revisions", () => {
  it("show the progress of a commit in each region", async () => {
    const page = await open("?flow=git&view=revisions");
    await expect.poll(() => cells(page, "b")).toEqual({
      ash: "not seen",
      fsn1: "fetched",
      gru1: "applying 1 of 2",
      hel1: "rolling out 1 of 2",
      nbg1: "done in 42s",
      sin: expect.stringMatching(/^failed: .*db$/),
      waw1: "overtaken by cccccccc",
    });
    expect(await cells(page, "c")).toMatchObject({ ash: "not seen", waw1: "fetched" });
    expect((await cells(page, "a"))["ash"]).toBe("done in 20s");
    expect(await table(page).locator("tbody th .name:first-child a:first-child").allInnerTexts()).toEqual(["cccccccc", "bbbbbbbb", "aaaaaaaa"]);
    expect(await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: "Revisions" }).getAttribute("aria-current")).toBe("page");
  });

  it("show a commit whose link would be invalid, without the link", async () => {
    const own = await Server.start("/", { FLOW_SERVER_COMMIT_URL_TEMPLATE: "https://{host}/{path}/commit/{commit}" });
    try {
      await own.post("git", [nodes(new Cluster("git", "r1").source(A, Date.now() - MINUTE, "https://1.2.3.400/o/apps"))]);
      const page = await openPage(browser, `${own.url}?flow=git&view=revisions`);
      await says(table(page), /aaaaaaaa/);
      expect(await table(page).getByRole("link", { name: /^Commit / }).count()).toBe(0);
    } finally {
      await own.kill();
    }
  });

  it("have the full text of a cell in its tooltip", async () => {
    const page = await open("?flow=git&view=revisions");
    await says(table(page), /overtaken/);
    const title = (text: string): Promise<string | null> => row(page, "b").locator("td a", { hasText: text }).getAttribute("title");
    expect(await title("applying")).toMatch(/not applied yet: .*web/);
    expect(await title("overtaken")).toContain("was applying");
  });

  it("lead from a cell to its rollout at that time, and to the root cause", async () => {
    const page = await open("?flow=git&view=revisions");
    await says(table(page), /failed: /);
    await says(page.locator(".time"), /now/);
    const rollouts = ((await (await fetch(`${server.url}v1/flows/git/rollouts`)).json()) as { rollouts: { id: string; revisions?: string[] }[] }).rollouts;
    const revisions = ((await (await fetch(`${server.url}v1/flows/git/revisions`)).json()) as { revisions: { id: string; revision: string; rollouts?: string[] }[] }).revisions;
    const b = revisions.find((r) => r.revision === B);
    expect(rollouts.find((r) => r.revisions?.includes(b?.id ?? ""))?.id).toBe(b?.rollouts?.[0]);
    await row(page, "b").getByRole("link", { name: /^failed/ }).click();
    await says(page.locator("#details"), /db/);
    expect(Object.fromEntries(search(page))).toMatchObject({ view: "timeline", region: "sin", rollout: b?.rollouts?.[0], node: "sin/apps/db" });
    expect(search(page).has("revision")).toBe(false);
  });

  it("link to the page of the commit, in a new tab that cannot access this page", async () => {
    const page = await open("?flow=git&view=revisions");
    const link = row(page, "b").getByRole("link", { name: "Commit bbbbbbbb at github.com" });
    await link.waitFor();
    expect(await link.evaluate((a: HTMLAnchorElement) => [a.href, a.rel, a.target])).toEqual([`https://github.com/o/apps/commit/${commit("b")}`, "noopener", "_blank"]);
  });

  it("show what a revision was superseded by, once every region has a newer one", async () => {
    const page = await open("?flow=moved&view=revisions");
    await says(row(page, "a"), /superseded by bbbbbbbb/);
    await row(page, "a").getByRole("link", { name: "bbbbbbbb" }).click();
    await expect.poll(() => search(page).get("revision")).toBe(commit("b"));
    await says(page.getByRole("article", { name: `Revision ${B}` }), /bbbbbbbb/);
  });

  it("show the states at an instant", async () => {
    const flow = "then";
    const c = new Cluster(flow, "r1");
    await server.post(flow, [nodes(...c.settled(A, Date.now() - 5 * MINUTE))]);
    const early = Date.now();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await server.post(flow, [nodes(c.source(B))]);
    const page = await open(`?flow=${flow}&view=revisions`);
    await says(table(page), /bbbbbbbb .*aaaaaaaa/);
    await page.goto(`${server.url}?flow=${flow}&view=revisions&at=${early}`);
    await expect.poll(() => table(page).locator("tbody tr").allInnerTexts()).toEqual([expect.stringMatching(/^aaaaaaaa\s/)]);
    expect(await cells(page, "a")).toEqual({ r1: "done in 20s" });
    expect(await row(page, "a").innerText()).not.toContain("bbbbbbbb");
  });

  it("are filtered by a search and by regions", async () => {
    const page = await open("?flow=git&view=revisions&q=cccccc");
    await says(table(page), /cccccccc/);
    expect(await table(page).locator("tbody tr").count()).toBe(1);
    await page.goto(`${server.url}?flow=git&view=revisions&q=apps/db&region=sin&region=nbg1`);
    await says(table(page), /bbbbbbbb/);
    expect(await table(page).locator("thead th").allInnerTexts()).toEqual(["Revision", "sin", "nbg1"]);
    expect(await row(page, "b").count()).toBe(1);
    expect(await row(page, "c").count()).toBe(0);
  });

  it("are not offered if nothing has a revision", async () => {
    await server.post("charts", [nodes(regionNode("charts", "r1"), { id: "r1/a", flowId: "charts", label: "a", region: "r1", status: "succeeded", meta: { kind: "HelmRelease", ready: "True" } })]);
    const page = await open("?flow=charts&view=table");
    await says(page.locator("tbody"), /ready/);
    expect(await page.getByRole("navigation", { name: "Views" }).getByRole("link").allInnerTexts()).toEqual(["Graph", "Timeline", "Table", "Rollouts"]);
    await page.goto(`${server.url}?flow=charts&view=revisions`);
    await says(page.locator("main"), /No revision yet/);
  });

  it("show an error if they cannot be loaded, and load them later", async () => {
    let isBroken = true;
    const page = await open("?flow=git&view=revisions", {
      // Not an error status, which the browser would log.
      setup: async (page) => void (await page.route(/\/revisions\?/, (route) => (isBroken ? route.fulfill({ body: "not this" }) : route.continue()))),
    });
    await says(page.locator("main"), /could not be loaded .*not this/);
    isBroken = false;
    await page.getByRole("button", { name: "Load again" }).click();
    await says(table(page), /bbbbbbbb/);
  });
});

describe("while somebody reads", () => {
  it("cells change in place and newer revisions wait", async () => {
    const flow = "live";
    const now = Date.now();
    const c = new Cluster(flow, "r1");
    await server.post(flow, [nodes(...c.settled(A, now - 5 * MINUTE))]);
    await server.post(flow, [nodes(c.source(B, now - MINUTE), c.kustomization("infra", B, A, now - MINUTE))]);
    const page = await open(`?flow=${flow}&view=revisions`);
    await expect.poll(() => cells(page, "b")).toEqual({ r1: "applying 0 of 2" });
    await row(page, "b").hover();
    const y = (await row(page, "b").boundingBox())?.y;
    await server.post(flow, [nodes(c.kustomization("infra", B, B, now - MINUTE, now - MINUTE / 2))]);
    await expect.poll(() => cells(page, "b")).toEqual({ r1: "applying 1 of 2" });
    await server.post(flow, [nodes(c.source(C, now))]);
    const newer = page.getByRole("button", { name: "1 newer" });
    await newer.waitFor();
    expect(await row(page, "c").count()).toBe(0);
    expect((await row(page, "b").boundingBox())?.y).toBe(y);
    await newer.click();
    await expect.poll(() => cells(page, "c")).toEqual({ r1: "fetched" });
    expect(await newer.count()).toBe(0);
    // Without the pointer the next one is shown at once.
    await page.mouse.move(5, 5);
    await page.getByRole("heading", { level: 1 }).click();
    await server.post(flow, [nodes(c.source(revision("d"), now + 1000))]);
    await row(page, "d").waitFor();
  });
});

describe("a link by commit", () => {
  it.each([commit("b"), "bbbb", "BBBBBBB", B])("opens the revision: %s", async (text) => {
    const page = await open(`?flow=git&revision=${text}`);
    const card = page.getByRole("article", { name: `Revision ${B}` });
    await says(card, /bbbbbbbb .*apps .*main@sha1:b{40} .*GitRepository .*https:\/\/github\.com\/o\/apps .*branch main/);
    await says(card, /Started the rollout of/);
    expect((await card.locator("li").allInnerTexts())[0]).toMatch(/^sin\s+failed: /);
    expect(await card.locator("li").count()).toBe(REGIONS.length);
    expect(await row(page, "b").getAttribute("class")).toContain("chosen");
    await card.getByRole("link", { name: "All revisions" }).click();
    await expect.poll(() => new URL(page.url()).search).toBe("?flow=git&view=revisions");
  });

  it("shows that the server does not have a commit", async () => {
    const page = await open("?flow=git&revision=0123456789");
    await says(page.locator("main").getByRole("status"), /no revision 0123456789/);
    await says(table(page), /bbbbbbbb/);
  });

  it("finds a revision that is older than those loaded at first", async () => {
    const flow = "many";
    const digits = (i: number): string => i.toString(16).padStart(4, "0").repeat(10);
    const c = new Cluster(flow, "r1");
    const now = Date.now();
    await server.post(flow, [nodes(...c.settled(A, now - 500_000))]);
    // One request each: of several revisions in one request the server keeps only the last.
    for (let i = 0; i < 250; i++) await server.post(flow, [nodes(c.source(`main@sha1:${digits(i + 16)}`, now - 300_000 + i * 1000))]);
    const page = await open(`?flow=${flow}&view=revisions`);
    await says(page.locator("main"), /100 revisions by 1 region/);
    expect(await table(page).locator("tbody tr").count()).toBeLessThan(60);
    await page.getByRole("button", { name: "Load older" }).click();
    await says(page.locator("main"), /251 revisions by 1 region/);
    expect(await table(page).locator("tbody tr").count()).toBeLessThan(60);
    expect(await page.getByRole("button", { name: "Load older" }).count()).toBe(0);
    await page.goto(`${server.url}?flow=${flow}&revision=${digits(16)}`);
    await says(page.getByRole("article"), /00100010/);
    await says(table(page).locator("tr.chosen"), /00100010/);
  });
});

describe("the palette", () => {
  it("finds a commit of this flow by its first digits, also one that no region has now", async () => {
    const page = await open("?flow=moved&view=table");
    await says(page.locator("tbody"), /api/);
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: /^Go to/ }).fill("aaaaaaa");
    await says(page.getByRole("dialog").getByRole("option").first(), /commit aaaaaaaa moved · apps/);
    await page.keyboard.press("Enter");
    await expect.poll(() => new URL(page.url()).search).toBe(`?flow=moved&view=revisions&revision=${commit("a")}`);
  });

  it("finds a commit in every flow, and opens for a link with only a commit", async () => {
    const page = await open(`?revision=${commit("e").slice(0, 10)}`);
    await says(page.getByRole("dialog").getByRole("option"), /commit eeeeeeee elsewhere · apps/);
    expect(await page.getByRole("dialog").getByRole("option").count()).toBe(1);
    await page.keyboard.press("Enter");
    await says(page.getByRole("article", { name: `Revision ${revision("e")}` }), /eeeeeeee/);
  });
});

describe("details", () => {
  it.each(["fsn1/apps/db", "fsn1/Kustomization/flux-system/web"])("show which commit runs, which should, and since when: %s", async (id) => {
    const page = await open(`?flow=git&view=table&node=${id}`);
    const section = page.locator("#details section", { has: page.getByRole("heading", { name: "Commit" }) });
    await says(section, /Runs aaaaaaaa since \d.* Should run bbbbbbbb since \d/);
    await section.getByRole("link", { name: "bbbbbbbb", exact: true }).click();
    await expect.poll(() => search(page).get("revision")).toBe(commit("b"));
    expect(search(page).get("view")).toBe("revisions");
  });

  it("show no other commit if it runs that of its source", async () => {
    const page = await open("?flow=git&view=table&node=nbg1/apps/db");
    const section = page.locator("#details section", { has: page.getByRole("heading", { name: "Commit" }) });
    await says(section, /Runs bbbbbbbb since/);
    expect(await section.innerText()).not.toContain("Should run");
  });
});

describe("a rollout", () => {
  it("shows which revisions started it", async () => {
    const page = await open("?flow=git&view=rollouts");
    await says(page.getByRole("region", { name: "Rollouts" }), /Started by bbbbbbbb of apps/);
    await page.getByRole("link", { name: "bbbbbbbb", exact: true }).first().click();
    await says(page.getByRole("article", { name: `Revision ${B}` }), /bbbbbbbb/);
  });
});

describe("on a phone", () => {
  it("are cards, with failed regions first", async () => {
    const page = await open("?flow=git&view=revisions", { width: 390, height: 780 });
    const card = page.getByRole("article", { name: `Revision ${B}` });
    await says(card, /sin\s+failed: .*db/);
    expect(await page.locator("table").count()).toBe(0);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    await card.getByRole("link", { name: "bbbbbbbb", exact: true }).click();
    await says(page.locator("article").first(), /main@sha1:b{40}/);
  });

  it.each([320, 390])("leave room for all views at a width of %i", async (width) => {
    const page = await open("?flow=git&view=revisions", { width, height: 780 });
    const views = page.getByRole("navigation", { name: "Views" }).getByRole("link");
    await expect.poll(() => views.count()).toBe(6);
    const boxes = await views.evaluateAll((all) => all.map((e) => ({ left: e.getBoundingClientRect().left, right: e.getBoundingClientRect().right, cut: e.scrollWidth > e.clientWidth + 1 })));
    for (const b of boxes) expect([b.left >= 0, b.right <= width, b.cut]).toEqual([true, true, false]);
  });
});

describe("printed revisions", () => {
  it("are cards at any width", async () => {
    const page = await open("?flow=git&view=revisions");
    await says(table(page), /bbbbbbbb/);
    await page.emulateMedia({ media: "print" });
    await says(page.getByRole("article", { name: `Revision ${B}` }), /failed: /);
    expect(await page.locator("table").count()).toBe(0);
    expect(await page.getByRole("region", { name: "Revisions" }).evaluate((e) => e.scrollHeight <= e.clientHeight)).toBe(true);
  });
});

describe("accessibility", () => {
  for (const scheme of ["light", "dark"] as const) {
    it.each([
      ["?flow=git&view=revisions", 1440],
      [`?flow=git&revision=${"b".repeat(40)}&node=sin/apps/db`, 1440],
      ["?flow=git&revision=0123456789", 1440],
      [`?flow=git&revision=${"b".repeat(40)}`, 390],
    ] as const)(`has no violation in ${scheme}: %s at %i`, async (query, width) => {
      const page = await open(query, { scheme, width });
      await says(page.locator("main"), /bbbbbbbb/);
      expect(await violations(page)).toEqual([]);
    });
  }

  it("reaches each cell and link by keyboard", async () => {
    const page = await open("?flow=git&view=revisions");
    await says(table(page), /bbbbbbbb/);
    await table(page).focus();
    const seen: string[] = [];
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press("Tab");
      seen.push(await page.evaluate(() => document.activeElement?.textContent?.trim() ?? ""));
    }
    expect(seen).toContain("cccccccc");
    expect(seen).toContain("bbbbbbbb");
    expect(seen).toContain("applying 1 of 2");
  });
});
