import type {} from "@openova/flow-canvas";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { VIEWS } from "../src/lib/views.ts";
import { AT, launch, recordAnnouncements, says, visit, whole, type Visit, type VisitOptions } from "./support/browser.ts";
import { postEnvironment } from "./support/fleet.ts";
import { replay } from "./support/replay.ts";
import { Server } from "./support/server.ts";

let browser: Browser;
/** A server with a path prefix, as behind a gateway, with three recordings. */
let server: Server;
const opened: Visit[] = [];
/** Servers of one test. They are stopped after its pages are closed, because a page that loses its server logs errors. */
const owned: Server[] = [];

beforeAll(async () => {
  browser = await launch();
  server = await Server.start("/sovereign/");
  await replay(server, ["kit-fsn1", "kit-hel1"]);
  await replay(server, ["scenarios"], { flow: "scenarios" });
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});
afterEach(async () => {
  const visits = opened.splice(0);
  for (const v of visits) await v.close();
  for (const own of owned.splice(0)) await own.kill();
  for (const v of visits) expect(v.faults).toEqual([]);
});

async function ownServer(): Promise<Server> {
  const own = await Server.start();
  owned.push(own);
  return own;
}

async function open(query: string, options: VisitOptions & { readonly at?: Server } = {}): Promise<Page> {
  const v = await visit(browser, `${(options.at ?? server).url}${query}`, options);
  opened.push(v);
  return v.page;
}

const header = (page: Page): Locator => page.locator("header").first();
const tree = (page: Page): Locator => page.getByRole("tree");
const state = (page: Page, name: string): Locator => page.getByRole("group", { name: "Filter by state" }).getByRole("button", { name: new RegExp(` ${name}$`) });
/** Waits until the canvas has drawn a flow. */
async function drawn(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const el = document.querySelector("openova-flow");
    const id = el?.state?.nodes.keys().next().value;
    return el !== null && id !== undefined && el.boxOf(id) !== undefined;
  });
}

describe("the fleet", () => {
  it("shows every flow with its progress, regions and problems, and links to it", async () => {
    const page = await open("");
    const card = page.getByRole("article").filter({ hasText: "scenarios" }).first();
    await says(card, /blocks 1/);
    await says(card, /install failed/);
    await says(page.getByRole("article").filter({ hasText: "fsn1, hel1" }), /46 ready/);
    await page.getByRole("link", { name: "bootstrap" }).click();
    await says(header(page), /bootstrap/);
    expect(new URL(page.url()).pathname).toBe("/sovereign/");
    expect(new URL(page.url()).search).toBe("?flow=bootstrap");
    await page.goBack();
    await says(page.getByRole("heading", { level: 1 }), /2 flows/);
  });

  it("shows a new flow without a reload", async () => {
    const own = await ownServer();
    const page = await open("", { at: own });
    await says(page.locator("main"), /No flow yet/);
    await replay(own, ["kit-fsn1"], { until: 60_000 });
    await says(page.getByRole("article"), /bootstrap/);
  });
});

describe("a flow", () => {
  it.each(VIEWS.map((v) => v.id))("shows the %s", async (view) => {
    const page = await open(`?flow=bootstrap&view=${view}`);
    await says(header(page), /100% 46\/46/);
    await says(page.getByRole("navigation", { name: "Views" }).locator("[aria-current]"), new RegExp(view, "i"));
    if (view === "graph") await drawn(page);
    else await says(page.locator("main"), { rollouts: /1 rollout/, revisions: /No revision yet/ }[view as string] ?? /bp-cert-manager/);
  });

  it("distinguishes waiting from working: in the third second of a bootstrap 23 wait and one works", async () => {
    const own = await ownServer();
    await replay(own, ["kit-fsn1"], { until: 2500 });
    const page = await open("?flow=bootstrap", { at: own });
    await expect.poll(() => state(page, "waiting").getAttribute("aria-label")).toBe("23 waiting");
    expect(await state(page, "working").getAttribute("aria-label")).toBe("1 working");
  });

  it("lists each root cause with a sentence and a command, also those without the status failed", async () => {
    const page = await open("?flow=scenarios");
    const list = page.getByRole("region", { name: /What is wrong/ });
    for (const name of ["nochart", "deadrepo", "badvalues", "chartref-missing", "dep-missing"]) await says(list, new RegExp(`${name}: \\w+`));
    await says(list.getByRole("listitem").first(), /slowbase: install failed blocks 1/);
    const command = list.getByRole("button", { name: /^Copy: (kubectl|flux) / });
    const commands = new Set<string | null>();
    for (const line of await list.locator("button[aria-expanded]").all()) {
      if ((await line.getAttribute("aria-expanded")) === "false") await line.click();
      expect(await list.locator("[aria-expanded=true]").count()).toBe(1);
      if ((await command.count()) === 1) commands.add(await command.getAttribute("aria-label"));
    }
    expect(commands.size).toBeGreaterThan(5);
  });

  it("is live again when the browser shows it from its cache", async () => {
    const page = await open("?flow=bootstrap");
    await says(header(page), /live/);
    const dispatch = (type: string): Promise<void> => page.evaluate((t) => void setTimeout(() => dispatchEvent(new PageTransitionEvent(t, { persisted: true }))), type);
    await dispatch("pagehide");
    await says(header(page), /closed/);
    await dispatch("pageshow");
    await says(header(page), /live/);
  });

  it("shows that nothing is wrong", async () => {
    const page = await open("?flow=bootstrap");
    await says(page.getByRole("region", { name: "Nothing is wrong" }), /Nothing is wrong/);
    expect(await page.getByRole("region", { name: /What is wrong/ }).count()).toBe(0);
  });

  it("is never complete while a Kustomization is not ready", async () => {
    const own = await ownServer();
    await replay(own, ["kit-fsn1"]);
    const node = { id: "fsn1/Kustomization/flux-system/apps", flowId: "bootstrap", label: "apps", status: "running", region: "fsn1", meta: { kind: "Kustomization", ready: "False", reason: "HealthCheckFailed" } };
    await own.post("bootstrap", [JSON.stringify({ type: "upsert-nodes", nodes: [node] })]);
    const page = await open("?flow=bootstrap&node=fsn1", { at: own });
    await says(header(page), /1 Kustomization not ready/);
    await says(page.locator("#details"), /24 of 25 ready, 1 Kustomization not ready/);
    await says(header(page), /96% 24\/25 ready/);
    expect(await header(page).innerText()).not.toMatch(/complete|all ready|100%/);
  });

  it.each([3_600_000, -3_600_000])("shows states and ages by the server's clock if the browser's is off by %i ms", async (off) => {
    const own = await ownServer();
    const now = Date.now();
    const broken = { state: "broken", problem: true, cause: { class: "overdue", sentence: "It takes too long." } };
    const judged = (id: string, at: number): object => ({
      ...{ id: `r/${id}`, flowId: "f", label: id, region: "r", status: "running", startedAt: now - 600_000 },
      meta: { kind: "HelmRelease", judgement: { state: "working", since: now - 600_000, gate: "wait", then: [{ ...broken, at }] } },
    });
    await own.post("f", [JSON.stringify({ type: "upsert-nodes", nodes: [judged("soon", now + 1_800_000), judged("late", now - 60_000)] })]);
    const page = await open("?flow=f&view=table", { at: own, setup: (page) => page.clock.install({ time: now + off }) });
    await says(state(page, "broken"), /^1 ?broken$/);
    await says(state(page, "working"), /^1 ?working$/);
    await says(page.getByRole("row", { name: /soon/ }), /1\dm/);
  });

  it("shows that a release is being deleted, and since when", async () => {
    const own = await ownServer();
    const meta = { kind: "HelmRelease", ready: "True", reason: "InstallSucceeded", deletingSince: Date.now() - 5_400_000, finalizers: ["finalizers.fluxcd.io"] };
    await own.post("f", [JSON.stringify({ type: "upsert-nodes", nodes: [{ id: "r/a", flowId: "f", label: "a", region: "r", status: "succeeded", meta }] })]);
    const page = await open("?flow=f&node=r/a", { at: own });
    await says(page.locator("#details"), /being deleted/);
    await says(page.locator("#details"), /Being deleted since .*, for 1h 3\dm; held by finalizers\.fluxcd\.io/);
  });

  it("shows the details of a release: message, versions, neighbours, history, commands", async () => {
    const page = await open("?flow=bootstrap&node=fsn1/bp-keycloak");
    const details = page.locator("#details");
    await says(details, /UpgradeSucceeded/);
    await says(details, /Version 1\.4\.1/);
    await says(details, /Depends on ready bp-cert-manager/);
    await says(details, /Changes .*UpgradeFailed/);
    expect(await details.getByRole("button", { name: /^Copy: kubectl --context=fsn1 -n flux-system describe helmrelease bp-keycloak/ }).count()).toBeGreaterThan(0);
    expect(await details.getByRole("button", { name: /^Copy: flux --context=fsn1 reconcile helmrelease bp-keycloak/ }).count()).toBeGreaterThan(0);
    await details.getByRole("link", { name: "bp-cert-manager" }).click();
    await says(details, /fsn1 · HelmRelease · flux-system bp-cert-manager/);
    expect(page.url()).toContain("node=fsn1/bp-cert-manager");
  });
});

describe("links", () => {
  it("contain filters, view and selection, and every view shows the same selection", async () => {
    const page = await open("?flow=bootstrap&view=table&q=gra&region=hel1");
    await says(page.getByRole("table"), /bp-grafana/);
    expect(await page.locator("tbody tr").count()).toBe(1);
    await says(tree(page), /^hel1 bp-grafana$|bp-grafana/);
    expect(await tree(page).getByRole("treeitem", { level: 2 }).count()).toBe(1);
    await page.getByRole("link", { name: "Timeline" }).click();
    await says(page.getByRole("region", { name: "Timeline" }), /bp-grafana/);
    expect(await page.getByRole("region", { name: "Timeline" }).getByRole("listitem").count()).toBe(1);
    expect(new URL(page.url()).search).toBe("?flow=bootstrap&view=timeline&q=gra&region=hel1");
  });

  it("contain the search and the checked filters", async () => {
    const page = await open("?flow=scenarios&view=table");
    await state(page, "broken").click();
    await expect.poll(() => page.url()).toContain("state=broken");
    await page.getByRole("combobox", { name: "Search releases" }).fill("retry");
    await expect.poll(() => page.url()).toContain("q=retry");
    await expect.poll(() => page.locator("tbody tr").count()).toBe(3);
    await page.getByRole("button", { name: "Show all" }).click();
    await expect.poll(() => page.url()).not.toContain("q=");
  });

  it("to an instant show the flow at that time", async () => {
    const began = await replay(server, ["kit-fsn1"], { flow: "past" });
    // The instant when the server received the middle one of the messages.
    const events = (await (await fetch(`${server.url}v1/flows/past/events?after=0`)).json()) as { events: { at: number }[] };
    const middle = events.events[Math.floor(events.events.length / 2)]?.at ?? began;
    const page = await open(`?flow=past&at=${new Date(middle).toISOString()}`);
    await says(header(page), AT);
    await expect.poll(async () => page.getByRole("slider", { name: "Instant" }).getAttribute("aria-valuetext")).toMatch(/ago/);
    await page.getByRole("button", { name: "Live", exact: true }).click();
    await says(header(page), /live/);
    expect(page.url()).not.toContain("at=");
  });
});

describe("time travel", () => {
  it("goes back by slider and keyboard, plays, and returns to live at the end", async () => {
    const own = await ownServer();
    for (const until of [3000, 60_000, 130_000, 331_000]) await replay(own, ["kit-fsn1"], { until });
    const page = await open("?flow=bootstrap&view=table", { at: own });
    const slider = page.getByRole("slider", { name: "Instant" });
    await slider.focus();
    await page.keyboard.press("ArrowLeft");
    await says(header(page), AT);
    await expect.poll(() => page.url()).toContain("at=");
    await slider.evaluate((el: HTMLInputElement) => {
      el.value = "0";
      el.dispatchEvent(new Event("input", { bubbles: true }));
      el.dispatchEvent(new Event("change", { bubbles: true }));
    });
    await expect.poll(() => state(page, "ready").count()).toBe(0);
    await page.getByRole("button", { name: "16×" }).click();
    await page.getByRole("button", { name: "Play the past" }).click();
    await says(header(page), /live/);
    await expect.poll(() => state(page, "ready").getAttribute("aria-label")).toBe("24 ready");
  });
});

describe("a server that is killed", () => {
  it("leaves the page as it is, and after its restart nodes are unconfirmed until their region reports", async () => {
    const own = await ownServer();
    await replay(own, ["kit-fsn1"], { until: 100_000 });
    await replay(own, ["kit-hel1"], { until: 100_000 });
    const v = await visit(browser, `${own.url}?flow=bootstrap`);
    const { page } = v;
    await says(header(page), /live/);
    // Scripts that have not loaded yet, such as that of the time bar, could not be loaded after the kill.
    await whole(page);
    await drawn(page);
    await page.getByRole("slider", { name: "Instant" }).waitFor();
    await says(page.getByRole("region", { name: /What is wrong/ }), /bp-/);
    await page.evaluate(() => (document.body.dataset["same"] = "yes"));
    await own.kill();
    await says(page.getByRole("status"), /Not connected for .* The page shows the state from then/);
    await says(tree(page), /bp-cilium/);
    await own.start();
    await replay(own, ["kit-fsn1"], { until: 100_000 });
    await page.getByRole("button", { name: "Try now" }).evaluateAll((all: HTMLElement[]) => all.forEach((button) => button.click()));
    await says(page.getByRole("status"), /The server restarted\. \d+ releases are not confirmed yet/);
    await expect.poll(() => state(page, "unconfirmed").getAttribute("aria-label")).toMatch(/2[23] unconfirmed/);
    await replay(own, ["kit-hel1"], { until: 100_000 });
    // Without the report this takes a minute.
    await expect.poll(() => state(page, "unconfirmed").count(), { timeout: 30_000 }).toBe(0);
    await says(header(page), /live/);
    expect(await page.evaluate(() => document.body.dataset["same"])).toBe("yes");
    await v.close();
    // The restarted server may respond with 404 until the flow is reported again.
    const expected = /net::ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)|status of 404 .*\/v1\/flows\/bootstrap\/(rollouts|events)/;
    expect(v.faults.filter((f) => !expected.test(f))).toEqual([]);
  });
});

describe("in place of content, the page", () => {
  it("shows what to do if the flow does not exist", async () => {
    const page = await open("?flow=nowhere");
    await says(page.locator("main"), /There is no flow nowhere .* FLOW_ID=nowhere/);
    await says(header(page), /no such flow/);
  });

  it.each([
    ["forbidden", 403, /You may not see bootstrap .* Sign in as another/],
    ["failing", 500, /The server cannot be reached .* Check that openova-flow-server runs/],
  ] as const)("shows what to do if the flow is %s", async (_, status, text) => {
    const v = await visit(browser, `${server.url}?flow=bootstrap`, {
      // A worker's requests cannot be intercepted, so this tab connects without one.
      setup: async (page) => {
        await page.addInitScript(() => Reflect.deleteProperty(globalThis, "SharedWorker"));
        await page.route("**/v1/**", (route) => route.fulfill({ status, contentType: "application/problem+json", body: '{"title":"No"}' }));
      },
    });
    await says(v.page.locator("main"), text);
    await v.close();
    expect(v.faults.filter((f) => !f.includes(`status of ${status}`))).toEqual([]);
  });

  it.each([
    [403, /You may not see the flows of this server .* Sign in as another/],
    [503, /The server cannot be reached .* retries automatically/],
  ] as const)("shows what to do if the list of flows returns %i", async (status, text) => {
    const v = await visit(browser, server.url, {
      setup: (page) => page.route("**/v1/**", (route) => route.fulfill({ status, contentType: "application/problem+json", body: '{"title":"No"}' })).then(() => undefined),
    });
    await says(v.page.locator("main"), text);
    await v.close();
    expect(v.faults.filter((f) => !f.includes(`status of ${status}`))).toEqual([]);
  });
});

describe("keyboard", () => {
  it("reaches search, outline, details, views and help", async () => {
    const page = await open("?flow=bootstrap");
    await says(tree(page), /bp-cilium/);
    await page.keyboard.press("/");
    await page.keyboard.type("loki");
    await expect.poll(() => page.getByRole("option").count()).toBeGreaterThan(0);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await says(page.locator("#details"), /bp-loki/);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await expect.poll(() => page.url()).not.toContain("q=");

    await page.keyboard.press("o");
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await says(page.locator("#details"), /bp-cilium/);
    expect(await page.evaluate(() => document.querySelector("openova-flow")?.selected)).toBe("fsn1/bp-cilium");
    const active = await tree(page).getAttribute("aria-activedescendant");
    await says(page.locator(`#${active}`), /bp-cilium/);
    // Typed letters count together, even if the page was busy while they were typed.
    const cdp = await page.context().newCDPSession(page);
    const at = Date.now() / 1000;
    for (const [i, key] of [..."graf"].entries()) {
      for (const type of ["keyDown", "keyUp"] as const) await cdp.send("Input.dispatchKeyEvent", { type, key, timestamp: at + i * 0.2 });
      if (key === "g") await page.evaluate((until) => { while (performance.now() < until); }, await page.evaluate(() => performance.now() + 1100));
    }
    await says(page.locator(`#${await tree(page).getAttribute("aria-activedescendant")}`), /bp-grafana/);

    await drawn(page);
    await page.locator("openova-flow").focus();
    await page.keyboard.press("ArrowRight");
    await expect.poll(() => page.url()).not.toContain("node=fsn1/bp-cilium");
    const chosen = await page.evaluate(() => document.querySelector("openova-flow")?.selected);
    await says(page.locator('[role=treeitem][aria-selected="true"]'), new RegExp(String(chosen?.split("/")[1])));

    await page.keyboard.press("t");
    await says(page.locator("main"), /critical path/i);
    await page.keyboard.press("?");
    await says(page.getByRole("dialog"), /Everywhere/);
    await page.keyboard.press("Escape");
    await expect.poll(() => page.getByRole("dialog").count()).toBe(0);
    await page.keyboard.press("Escape");
    await expect.poll(() => page.url()).not.toContain("node=");
  });

  it("announces changes to screen readers", async () => {
    const own = await ownServer();
    await replay(own, ["kit-fsn1"], { until: 2000 });
    const page = await open("?flow=bootstrap", { at: own, setup: (page) => page.clock.install() });
    await says(tree(page), /bp-cilium/);
    const announcements = await recordAnnouncements(page);
    await replay(own, ["kit-fsn1"], { until: 130_000, after: 2000 });
    await expect.poll(announcements).toMatch(/bp-seaweedfs broken/);
  });
});

describe("sizes", () => {
  it("shows 10,000 releases with only visible rows in the DOM", async () => {
    const own = await ownServer();
    await postEnvironment(own, "large", 10_000);
    const page = await open("?flow=large", { at: own });
    await drawn(page);
    await says(header(page), /\d+\/\d{4,}/);
    const views = page.getByRole("navigation", { name: "Views" }).getByRole("link");
    for (const view of (await views.allInnerTexts()).slice(1)) {
      await views.filter({ hasText: view }).click();
      await says(page.locator("main"), view === "Rollouts" ? /rollout/i : /bp-/);
      expect(await page.evaluate(() => document.querySelectorAll("*").length)).toBeLessThan(6000);
    }
  });

  it.each([320, 390, 700, 1000, 1280])("shows the whole toolbar at a width of %i", async (width) => {
    const page = await open("?flow=scenarios", { width, height: 780 });
    await drawn(page);
    await expect.poll(() => page.locator(".states button").count()).toBeGreaterThan(2);
    const boxes = await page.locator(".toolbar > *:not(nav):not(.states), .toolbar nav a, .states button").evaluateAll((all) =>
      all.map((e) => ({ left: e.getBoundingClientRect().left, right: e.getBoundingClientRect().right, cut: e.scrollWidth > e.clientWidth + 1 })),
    );
    expect(boxes.length).toBeGreaterThan(8);
    for (const b of boxes) {
      expect(b.left).toBeGreaterThanOrEqual(0);
      expect(b.right).toBeLessThanOrEqual(width);
      expect(b.cut).toBe(false);
    }
  });

  it("works on a phone", async () => {
    const page = await open("?flow=scenarios", { width: 390, height: 780 });
    await drawn(page);
    await says(page.getByRole("region", { name: /What is wrong/ }), /slowbase: install failed/);
    await page.getByRole("treeitem", { name: /deadrepo/ }).click();
    await says(page.locator("#details"), /SourceNotReady/);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    await page.getByRole("button", { name: "Close the details" }).click();
    await expect.poll(() => page.locator("#details").count()).toBe(0);
  });
});
