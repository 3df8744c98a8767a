import type {} from "@openova/flow-canvas";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { VIEWS } from "../src/lib/views.ts";
import { AT, launch, says, visit, whole, type Visit, type VisitOptions } from "./support/browser.ts";
import { needs, nodes, regionNode, release } from "./support/release.ts";
import { Server } from "./support/server.ts";

let browser: Browser;
let server: Server;
const visits: Visit[] = [];

beforeAll(async () => {
  browser = await launch();
  server = await Server.start();
});
afterAll(async () => {
  await browser?.close();
  await server?.kill();
});
afterEach(async () => {
  const all = visits.splice(0);
  for (const v of all) await v.close();
  for (const v of all) expect(v.faults).toEqual([]);
});

async function open(query: string, options: VisitOptions = {}): Promise<Page> {
  const v = await visit(browser, `${server.url}${query}`, options);
  visits.push(v);
  return v.page;
}
const header = (page: Page): Locator => page.locator("header").first();
const wrong = (page: Page): Locator => page.getByRole("region", { name: /What is wrong/ });
const details = (page: Page): Locator => page.locator("#details");

describe("releases with equal names", () => {
  const flow = "tenants";
  beforeAll(async () => {
    const startedAt = Date.now() - 90_000, endedAt = Date.now() - 50_000;
    const at = (region: string, namespace: string, more: Partial<Parameters<typeof release>[0]> = {}) =>
      release({ flow, region, namespace, name: "redis", status: "succeeded", startedAt, endedAt, ...more });
    await server.post(flow, [
      nodes(
        regionNode(flow, "prod"), regionNode(flow, "dr"),
        at("prod", "team-a"), at("prod", "team-b", { status: "failed" }), at("prod", "team-c", { version: "2.0.0" }), at("dr", "team-a"), at("dr", "team-c"),
        release({ flow, region: "prod", namespace: "team-b", name: "api", status: "running", waitingFor: ["prod/team-b/redis"] }),
      ),
      needs(["prod/team-b/redis", "prod/team-b/api"]),
    ]);
  });

  it("have different names in every view, and unique names are not extended", async () => {
    const page = await open(`?flow=${flow}`);
    await says(wrong(page), /prod\/team-b\/redis: failed/);
    const outline = page.getByRole("tree");
    await says(outline, /prod .*team-a ready redis team-b .*api broken redis team-c ready redis/);
    for (const view of ["Timeline", "Table", "Matrix"] as const) {
      await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: view }).click();
      await says(page.locator("main"), /team-a\/redis/);
      await says(page.locator("main"), /team-b\/redis/);
    }
    await page.getByRole("combobox", { name: "Search releases" }).fill("redis");
    await says(page.getByRole("option").filter({ hasText: "team-c/redis" }).first(), /team-c\/redis/);
  });

  it("have separate rows in the matrix, which marks a different version", async () => {
    const page = await open(`?flow=${flow}&view=matrix`);
    await says(page.locator("main h2"), /^4 releases by 2 regions$/);
    const row = (name: string): Locator => page.locator("tbody tr").filter({ has: page.locator("th", { hasText: name }) });
    await expect.poll(() => row("team-c/redis").locator("a.other").count()).toBe(1);
    await expect.poll(() => row("team-a/redis").locator("a.other").count()).toBe(0);
  });

  it("are two changes of a rollout, not one change in two regions", async () => {
    const page = await open(`?flow=${flow}&view=rollouts`);
    await says(page.locator("main"), /team-a\/redis 1\.0\.0/);
    expect(await page.locator("main").innerText()).not.toMatch(/(^|\s)redis 1\.0\.0/);
  });

  it("are grouped by namespace in outline, timeline and graph, and the link contains the grouping", async () => {
    const page = await open(`?flow=${flow}&view=timeline`);
    const groups = (): Promise<string[]> => page.getByRole("region", { name: "Timeline" }).locator("li.group b").allInnerTexts();
    await expect.poll(groups).toEqual(["prod", "dr"]);
    await page.getByRole("button", { name: "Namespace", exact: true }).first().click();
    await page.getByText("Group by namespace").click();
    await expect.poll(() => page.url()).toContain("group=namespace");
    await expect.poll(groups).toEqual(["team-b", "team-a", "team-c"]);
    await says(page.getByRole("region", { name: "Timeline" }), /dr\/team-a\/redis/);
    await says(page.getByRole("tree"), /dr .*team-a ready redis team-c ready redis prod/);
    await page.goto(page.url().replace("view=timeline", "view=graph"));
    const drawn = (): Promise<string> => page.evaluate(async () => (await document.querySelector("openova-flow")?.exportSVG().catch(() => "")) ?? "");
    for (const namespace of ["team-a", "team-b", "team-c"]) await expect.poll(drawn).toMatch(new RegExp(`>${namespace}<`));
  });

  it("are filtered and listed by namespace", async () => {
    const page = await open(`?flow=${flow}&view=table`);
    await says(page.locator("thead"), /Namespace/);
    await page.getByRole("button", { name: "Namespace", exact: true }).first().click();
    await page.getByRole("group", { name: "Namespace" }).getByText("team-b", { exact: true }).click();
    await expect.poll(() => page.url()).toContain("namespace=team-b");
    await expect.poll(() => page.locator("tbody tr").count()).toBe(2);
  });
});

describe("a command", () => {
  const flow = "commands";
  beforeAll(async () => {
    await server.post(flow, [nodes(regionNode(flow, "hel1"), release({ flow, region: "hel1", name: "loki", status: "failed", meta: { judgement: {
      state: "broken", problem: true, cause: { class: "install-failed", sentence: "loki failed to install." }, command: ["kubectl", "-n", "flux-system", "describe", "helmrelease", "loki"],
    } } }))]);
  });

  it("is for the cluster of its region, with the context that the user set", async () => {
    const page = await open(`?flow=${flow}&node=hel1/loki`);
    await says(wrong(page), /hel1 context kubectl --context=hel1 -n flux-system describe helmrelease loki/);
    await says(details(page), /flux --context=hel1 reconcile helmrelease loki/);
    await wrong(page).getByRole("button", { name: /^Context of hel1/ }).click();
    const input = page.getByRole("textbox", { name: "kubectl context of hel1" });
    await input.fill("other");
    await input.press("Escape");
    await expect.poll(() => input.count()).toBe(0);
    await says(wrong(page), /kubectl --context=hel1 -n flux-system describe/);
    await wrong(page).getByRole("button", { name: /^Context of hel1/ }).click();
    await input.fill("admin@my cluster");
    await input.press("Enter");
    await says(wrong(page), /kubectl --context='admin@my cluster' -n flux-system describe/);
    await says(details(page), /flux --context='admin@my cluster' reconcile/);
    await page.reload();
    await says(details(page), /flux --context='admin@my cluster' reconcile/);
    await wrong(page).getByRole("button", { name: /^Context of hel1/ }).click();
    await input.fill("");
    await input.press("Enter");
    await says(details(page), /flux --context=hel1 reconcile/);
  });
});

describe("a failure that only a change in Git fixes", () => {
  it("shows where to change it, and offers no retry", async () => {
    const flow = "git";
    const judgement = {
      state: "broken", problem: true, final: true, command: ["kubectl", "-n", "flux-system", "describe", "helmrelease", "api"],
      cause: { class: "install-failed", sentence: "api failed to install: its values break the chart's schema: replicas: expected integer.", inGit: true },
    };
    const apps = { id: "eu/Kustomization/flux-system/apps", flowId: flow, label: "apps", region: "eu", status: "succeeded", meta: { kind: "Kustomization", namespace: "flux-system", path: "./apps/prod", source: { kind: "GitRepository", namespace: "flux-system", name: "fleet" } } };
    await server.post(flow, [nodes(regionNode(flow, "eu"), apps, release({ flow, region: "eu", name: "api", status: "failed", meta: { judgement, appliedBy: apps.id } }))]);
    const page = await open(`?flow=${flow}&node=eu/api`);
    await says(wrong(page), /Only a change in Git fixes it: \.\/apps\/prod of GitRepository flux-system\/fleet .*kubectl --context=eu -n flux-system describe helmrelease api/);
    await says(details(page), /Only a change in Git fixes it: \.\/apps\/prod of GitRepository flux-system\/fleet/);
    expect(await details(page).innerText()).not.toMatch(/Try again now|--reset/);
    expect(await wrong(page).innerText()).not.toMatch(/--reset/);
  });
});

describe("an ended rollout", () => {
  const flow = "prod";
  const old = Date.now() - 3 * 86_400_000;
  let rollouts: readonly { readonly id: string; readonly startedAt: number; readonly outcome: string }[];
  beforeAll(async () => {
    const one = (name: string, status: "running" | "succeeded" | "failed", startedAt: number, version: string, endedAt?: number) =>
      nodes(release({ flow, region: "eu", name, status, startedAt, version, ...(endedAt === undefined ? {} : { endedAt }) }));
    // One request each, because the changes of one request count as one.
    for (const line of [
      nodes(regionNode(flow, "eu")),
      one("api", "running", old, "1.0.0"), one("web", "running", old, "1.0.0"),
      one("api", "succeeded", old, "1.0.0", old + 40_000), one("web", "failed", old, "1.0.0", old + 100_000),
      // Now: the release that succeeded works again, and the one that failed is ready.
      one("web", "succeeded", Date.now() - 200_000, "1.1.0", Date.now() - 190_000),
      one("api", "running", Date.now() - 20_000, "1.1.0"),
    ]) await server.post(flow, [line]);
    rollouts = ((await (await fetch(`${server.url}v1/flows/${flow}/rollouts`)).json()) as { rollouts: typeof rollouts }).rollouts;
  });

  it("is shown with its states at the end, whatever its releases do now", async () => {
    const first = rollouts.find((r) => r.startedAt === old);
    expect(first?.outcome).toBe("failed");
    const page = await open(`?flow=${flow}&view=timeline&rollout=${first?.id}`);
    await says(header(page), /50% 1\/2 ready this rollout 1\/2 failed took 1m 40s/);
    const line = (name: string): Locator => page.getByRole("region", { name: "Timeline" }).getByRole("listitem").filter({ hasText: name });
    await says(line("api"), /ready api/);
    await says(line("web"), /broken web/);
  });

  it("and the current one are counted separately from the whole flow, with labels", async () => {
    const page = await open(`?flow=${flow}`);
    await says(header(page), /50% 1\/2 ready rollout 0\/1 rolling out/);
    expect(await page.title()).toMatch(/^0% prod/);
    await page.goto(server.url);
    await says(page.getByRole("article").filter({ has: page.getByRole("link", { name: flow, exact: true }) }), /50% 1 working 1 ready rollout 0\/1 rolling out/);
  });

  it("can be replayed", async () => {
    const own = "replayed";
    await server.post(own, [nodes(regionNode(own, "eu"))]);
    const startedAt = Date.now();
    await server.post(own, [nodes(release({ flow: own, region: "eu", name: "api", status: "running", startedAt }))]);
    await server.post(own, [nodes(release({ flow: own, region: "eu", name: "api", status: "succeeded", startedAt, endedAt: Date.now() }))]);
    const page = await open(`?flow=${own}&view=rollouts`);
    await page.getByRole("button", { name: "Replay" }).click();
    await expect.poll(() => page.url()).toContain("view=timeline");
    await says(page.getByRole("region", { name: "Timeline" }), /api/);
    await says(header(page), /live/);
  });

  it("is replayed to its end, also while the past is being played", async () => {
    const own = "replayed-again";
    await server.post(own, [nodes(regionNode(own, "eu"))]);
    const startedAt = Date.now();
    await server.post(own, [nodes(release({ flow: own, region: "eu", name: "api", status: "running", startedAt }))]);
    for (let i = 0; i < 2; i++) {
      await new Promise((resolve) => setTimeout(resolve, 2500));
      await server.post(own, [nodes(release({ flow: own, region: "eu", name: "api", status: "succeeded", startedAt, endedAt: startedAt + 2500, meta: { failures: i } }))]);
    }
    const page = await open(`?flow=${own}&view=rollouts`);
    await page.getByRole("button", { name: "1×", exact: true }).click();
    await page.getByRole("button", { name: "Play the past" }).click();
    await says(header(page), AT);
    await page.getByRole("button", { name: "Replay" }).click();
    await expect.poll(() => page.url()).toContain("view=timeline");
    await says(header(page), /live/);
  });

  it("has the time that it took until all releases were ready", async () => {
    const own = "quick";
    const begin = Date.now() - 50_000;
    await server.post(own, [nodes(regionNode(own, "eu"), release({ flow: own, region: "eu", name: "api", status: "succeeded", startedAt: begin, endedAt: begin + 12_000 }))]);
    const page = await open(`?flow=${own}`);
    await says(header(page), /1\/1 ready rollout 1\/1 all ready after 12s/);
    await page.goto(server.url);
    await says(page.getByRole("article").filter({ hasText: own }), /1\/1 all ready after 12s/);
  });
});

describe("a link to history that the server no longer has", () => {
  const flow = "kept";
  beforeAll(async () => {
    await server.post(flow, [nodes(regionNode(flow, "eu"), release({ flow, region: "eu", name: "api", status: "succeeded", startedAt: Date.now() - 9000, endedAt: Date.now() - 8000 }))]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await server.post(flow, [nodes(release({ flow, region: "eu", name: "web", status: "succeeded", startedAt: Date.now() - 9000, endedAt: Date.now() - 8000 }))]);
  });

  it.each(VIEWS.map((v) => v.id))("to an instant offers the earliest instant and now: %s", async (view) => {
    const page = await open(`?flow=${flow}&view=${view}&at=2020-01-01T00:00:00.000Z`);
    await says(page.locator("main"), /no longer available The history of kept begins at/);
    expect(await page.getByRole("region", { name: "Time travel" }).count()).toBe(1);
    await page.getByRole("link", { name: "Earliest" }).click();
    await says(page.getByRole("tree"), /api/);
    await page.goBack();
    await page.getByRole("main").getByRole("link", { name: "Now" }).click();
    await says(header(page), /live/);
    expect(page.url()).not.toContain("at=");
  });

  it("to an instant says if the history could not be loaded", async () => {
    const page = await open("?flow=kept&at=2020-01-01T00:00:00.000Z", { setup: async (page) => void (await page.route("**/v1/flows/kept/events**", (route) => route.fulfill({ body: "no JSON" }))) });
    await says(page.locator("main"), /cannot be shown The history of kept could not be loaded\./);
  });

  it("to a rollout offers all rollouts", async () => {
    const page = await open(`?flow=${flow}&rollout=nonsense&view=timeline`);
    await says(page.locator("main"), /This rollout is no longer available The server has only the last 1 rollout of kept\./);
    await whole(page);
    expect(await page.getByRole("link", { name: "Skip to the outline" }).count()).toBe(0);
    await page.getByRole("link", { name: "All rollouts" }).click();
    await says(page.locator("main"), /1 rollout/);
    expect(page.url()).not.toContain("rollout=nonsense");
  });

  it("to a flow that does not exist suggests similar names", async () => {
    const page = await open(`?flow=kept-eu`);
    await says(page.locator("main"), /There is no flow kept-eu .* Did you mean kept/);
    expect(await header(page).innerText()).not.toMatch(/live/);
    await page.getByRole("main").getByRole("link", { name: "kept", exact: true }).click();
    await says(page.getByRole("tree"), /api/);
  });
});

describe("an object that is not watched", () => {
  it("is not shown as missing", async () => {
    const flow = "watched";
    await server.post(flow, [
      nodes(
        regionNode(flow, "eu", { notWatched: [{ kind: "Kustomization", why: "no rights" }] }),
        release({ flow, region: "eu", name: "api", status: "succeeded", meta: { appliedBy: "eu/Kustomization/flux-system/apps" } }),
        release({ flow, region: "eu", name: "web", status: "running", waitingFor: ["eu/nothing"] }),
      ),
      needs(["eu/nothing", "eu/web"]),
    ]);
    const page = await open(`?flow=${flow}&node=eu/api`);
    await says(details(page), /Applied by apps not watched/);
    await page.goto(`${server.url}?flow=${flow}&node=eu/web`);
    await says(details(page), /Depends on nothing does not exist/);
    await page.goto(`${server.url}?flow=${flow}&node=eu/Kustomization/flux-system/apps`);
    await says(details(page), /is not watched, so it is unknown whether it exists/);
  });
});

it("a dependency in another flow is not shown as the node of this flow with the same id", async () => {
  const flow = "linked";
  const relationships = [{ fromId: "eu/api", fromFlowId: "other", toId: "eu/web", type: "finish-to-start" }, { fromId: "eu/web", toId: "eu/api", toFlowId: "other", type: "finish-to-start" }];
  await server.post(flow, [
    nodes(regionNode(flow, "eu"), ...["api", "db", "web"].map((name) => release({ flow, region: "eu", name, status: "succeeded" }))),
    needs(["eu/db", "eu/web"]),
    JSON.stringify({ type: "upsert-rels", relationships }),
  ]);
  const page = await open(`?flow=${flow}&node=eu/web`);
  await says(details(page), /Depends on ready db/);
  expect(await details(page).getByRole("link", { name: "api" }).count()).toBe(0);
});

it("a region says how far the clock of its cluster is off", async () => {
  const flow = "clocks";
  await server.post(flow, [nodes(regionNode(flow, "eu", { clockOffset: 600_000 }), regionNode(flow, "us", { clockOffset: -61_000 }))]);
  const page = await open(`?flow=${flow}&node=eu`);
  await says(details(page), /The cluster's clock is 10m 00s behind/);
  await page.goto(`${server.url}?flow=${flow}&node=us`);
  await says(details(page), /The cluster's clock is 1m 01s ahead/);
});

describe("releases blocked by a source", () => {
  const flow = "sources";
  beforeAll(async () => {
    const source = { id: "eu/HelmRepository/flux-system/charts", flowId: flow, label: "charts", region: "eu", status: "failed", endedAt: Date.now() - 60_000, meta: { kind: "HelmRepository", namespace: "flux-system", auxiliary: true, reason: "FetchFailed" } };
    await server.post(flow, [
      nodes(regionNode(flow, "eu"), source, ...["a", "b", "c"].map((name) => release({ flow, region: "eu", name, status: "succeeded" }))),
      needs([source.id, "eu/a"], [source.id, "eu/b"]),
    ]);
  });

  it("are those that wait for it, not all that use it", async () => {
    const page = await open(`?flow=${flow}&node=eu/HelmRepository/flux-system/charts`);
    await says(details(page), /Needed by 2/);
    expect(await details(page).innerText()).not.toMatch(/blocks/i);
  });

  it("do not dim the source if they pass a filter", async () => {
    const page = await open(`?flow=${flow}`);
    await says(page.getByRole("tree"), /ready a ready b ready c/);
    await page.evaluate(() => {
      const el = document.querySelector("openova-flow")!;
      const set = el.setFilter.bind(el);
      el.setFilter = (filter) => {
        Object.assign(globalThis, { passing: filter === null ? null : [...(filter as ReadonlySet<string>)] });
        set(filter);
      };
    });
    const passing = (): Promise<unknown> => page.evaluate(() => (globalThis as unknown as { passing: unknown }).passing);
    await page.getByRole("combobox", { name: "Search releases" }).fill("eu/a");
    await expect.poll(passing).toEqual(["eu/a", "eu/HelmRepository/flux-system/charts"]);
    await page.getByRole("combobox", { name: "Search releases" }).fill("eu/c");
    await expect.poll(passing).toEqual(["eu/c"]);
  });
});

describe("an unreachable server", () => {
  it("stops every clock, and is in the title", async () => {
    const own = await Server.start();
    const flow = "away";
    await own.post(flow, [nodes(regionNode(flow, "eu"), release({ flow, region: "eu", name: "api", status: "running", startedAt: Date.now() - 20_000 }))]);
    const v = await visit(browser, `${own.url}?flow=${flow}&view=table`);
    const { page } = v;
    try {
      await says(header(page), /rollout 0\/1 rolling out \d+s/);
      await whole(page);
      await own.kill();
      await says(header(page), /as of \d\d:\d\d:\d\d/);
      await expect.poll(() => page.title()).toMatch(/^\(not connected\) away/);
      const shown = async (): Promise<string> => `${await page.locator("header .time").innerText()} ${await page.locator("tbody").innerText()}`;
      const before = await shown();
      await says(page.getByRole("status"), /Not connected for [3-9]s/);
      expect(await shown()).toBe(before);
    } finally {
      await v.close();
      await own.kill();
    }
  });
});

describe("the fleet of an unreachable server", () => {
  it("stops every clock of its cards", async () => {
    const own = await Server.start();
    await own.post("away", [nodes(regionNode("away", "eu"), release({ flow: "away", region: "eu", name: "api", status: "running", startedAt: Date.now() - 20_000 }))]);
    const v = await visit(browser, own.url, { setup: (page) => page.clock.install() });
    const { page } = v;
    const card = page.getByRole("article");
    try {
      await says(card, /rollout 0\/1 rolling out \d+s/);
      await own.kill();
      await page.clock.fastForward(5000);
      await says(page.getByRole("status"), /The server cannot be reached/);
      const before = await card.innerText();
      await page.clock.fastForward(60_000);
      await says(page.getByRole("status"), /Next try/);
      expect(await card.innerText()).toBe(before);
    } finally {
      await v.close();
      await own.kill();
    }
  });
});

describe("a narrow page", () => {
  it.each([390, 1024])("shows the flow's name, numbers and notes without overlap at a width of %i", async (width) => {
    const flow = "a-flow-with-a-rather-long-name";
    const kustomization = { id: "eu/Kustomization/flux-system/apps", flowId: flow, label: "apps", region: "eu", status: "running", meta: { kind: "Kustomization", namespace: "flux-system", ready: "False", reason: "HealthCheckFailed" } };
    await server.post(flow, [nodes(regionNode(flow, "eu"), kustomization, release({ flow, region: "eu", name: "api", status: "succeeded", startedAt: Date.now() - 9000, endedAt: Date.now() - 1000 }))]);
    const page = await open(`?flow=${flow}`, { width, height: 844 });
    await says(header(page), /1 Kustomization not ready/);
    const box = async (selector: string): Promise<{ x: number; y: number; width: number; height: number }> => (await header(page).locator(selector).first().boundingBox())!;
    const [name, bar, line] = [await box("h1"), await box("[role=progressbar]"), await box(".line")];
    expect(name.width).toBeGreaterThan(100);
    const apart = (a: typeof name, b: typeof name): boolean => a.x + a.width <= b.x + 1 || b.x + b.width <= a.x + 1 || a.y + a.height <= b.y + 1 || b.y + b.height <= a.y + 1;
    expect([apart(name, bar), apart(bar, line), apart(name, line)]).toEqual([true, true, true]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
  });

  it("cuts a name in its middle where it does not fit", async () => {
    const flow = "long-names";
    const names = ["one", "two"].map((end) => `a-release-with-a-rather-long-name-${end}`);
    await server.post(flow, [nodes(regionNode(flow, "eu"), ...names.map((name) => release({ flow, region: "eu", name, status: "succeeded", startedAt: Date.now() - 9000, endedAt: Date.now() - 1000 })))]);
    const page = await open(`?flow=${flow}&view=timeline`, { width: 390, height: 844 });
    for (const [view, part] of [["timeline", "Timeline"], ["table", "Table of releases"]] as const) {
      await page.goto(`${server.url}?flow=${flow}&view=${view}`);
      const links = page.getByRole("region", { name: part }).getByRole("link");
      await expect.poll(() => links.locator(".cut > [aria-hidden]").allInnerTexts()).toEqual([expect.stringMatching(/^a-r.*….*e-one$/), expect.stringMatching(/^a-r.*….*e-two$/)]);
      const isInside = (all: Element[]): boolean[] => all.map((e) => e.getBoundingClientRect().right <= (e.parentElement?.getBoundingClientRect().right ?? 0));
      expect(await links.locator(".cut > [aria-hidden]").evaluateAll(isInside)).toEqual([true, true]);
      for (const name of names) expect(await links.filter({ hasText: name }).count()).toBe(1);
    }
  });

  it("shows the whole label of the instant", async () => {
    const flow = "instants";
    await server.post(flow, [nodes(regionNode(flow, "eu"), release({ flow, region: "eu", name: "api", status: "running", startedAt: Date.now() - 9000 }))]);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await server.post(flow, [nodes(release({ flow, region: "eu", name: "api", status: "succeeded", startedAt: Date.now() - 9000, endedAt: Date.now() }))]);
    const page = await open(`?flow=${flow}`, { width: 390, height: 844 });
    const bar = page.getByRole("region", { name: "Time travel" });
    const isWhole = (): Promise<boolean> => bar.evaluate((e) => {
      const label = e.querySelector(".label");
      return label !== null && label.scrollWidth <= label.clientWidth && [...e.querySelectorAll("*")].every((c) => c.getBoundingClientRect().right <= innerWidth);
    });
    await bar.getByRole("slider").waitFor();
    await says(bar, /now \w+/);
    expect(await isWhole()).toBe(true);
    await bar.getByRole("slider").press("Home");
    await says(bar, /ago \w+/);
    expect(await isWhole()).toBe(true);
  });
});
