import type { Browser } from "playwright-core";
import { VIEWS } from "../../src/lib/views.ts";
import { visit, whole } from "./browser.ts";
import type { Server } from "./server.ts";

// Flows made to break the page, and a function that opens everything of such a flow.

type Node = Record<string, unknown> & { id: string };
type Rel = Record<string, unknown>;
export interface Hostile {
  readonly nodes: readonly Node[];
  readonly rels: readonly Rel[];
}

/** The latest instant of a Date. The earliest is -END. */
const END = 8_640_000_000_000_000;

export class Dice {
  #s: number;
  constructor(seed: number) {
    this.#s = seed;
  }
  below(n: number): number {
    this.#s = (Math.imul(this.#s, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#s / 2 ** 32) * n);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

const TEXTS = [
  "__proto__", "constructor", "toString", "region r", "node a", "\u0000", "\u0001\u0002\u007f\u009b2J", "a\nb\r\tc", "\u202eabc\u2066", "<img src=x onerror=alert(1)>", "{{x}}", "x; id", "$(id)", "`id`", "-rf", "%00%2f..%2f",
  "\u{1f600}".repeat(50), "a".repeat(3000), " ", "\u0301".repeat(400), "日本語", "a/b/c", "/", "", "undefined", "null", "NaN", "../..", "fsn1", "bp-", "-",
];
const STATUSES = ["pending", "running", "succeeded", "failed", "__proto__", "odd", " "];
const INSTANTS = [-END, END, -END + 1, 0, -1, 1, END - 1, 1_700_000_000_000, 4_000_000_000_000];
const TYPES = ["contains", "finish-to-start", "start-to-start", "finish-to-finish", "start-to-finish", "triggers"];
const WRONG: readonly unknown[] = [0, -1, 1e308, true, false, "", "x", [], {}, [[]], [{}], { a: 1 }, ["a", 1], { name: 1, ready: [] }, [{ kind: "K", why: "y" }, { kind: "K", why: "z" }], "a".repeat(2000), Array.from({ length: 300 }, (_, i) => `gone/${i}`)];
const META = ["kind", "namespace", "ready", "reason", "message", "reasonSince", "stalled", "stalledReason", "stalledMessage", "waitingFor", "waitingSince", "suspended", "deletingSince", "finalizers", "chart", "source", "versionWanted", "versionApplied", "revision", "path", "helmRevision", "action", "attempts", "failures", "generation", "startedAtIsLowerBound", "appliedBy", "namespaces", "clusterUID", "notWatched", "auxiliary", "targetCluster", "targetNamespace", "releaseName", "driftDetection", "drift", "judgement", "__proto__"];
const JUDGED = ["state", "marks", "since", "cause", "command", "attempts", "of", "nextTry", "limit", "problem", "final", "gate", "then", "needs", "named", "readyWhile", "source", "blamesSource", "checks"];
const STATES = ["ready", "working", "waiting", "broken", "suspended", "terminating", "not-started"];
const MARKS = ["retrying", "overdue", "not-observed", "old-revision", "drift", "ready-expr", "suspended", "remote:x", "remote:", "retrying"];

function node(id: string, rest: Record<string, unknown> = {}): Node {
  return { id, label: id, status: "running", ...rest };
}
const rel = (fromId: string, toId: string, type = "finish-to-start"): Rel => ({ fromId, toId, type });
const many = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));

/** A flow for each kind of hostile data. */
export const CASES: Readonly<Record<string, () => Hostile>> = {
  "28 containers within each other": () => ({ nodes: many(28, (i) => node(`fsn1/${i}`, { region: "fsn1" })), rels: many(27, (i) => rel(`fsn1/${i}`, `fsn1/${i + 1}`, "contains")) }),
  "a cycle of 28 containers": () => ({ nodes: [...many(28, (i) => node(`fsn1/${i}`, { region: "fsn1" })), node("fsn1/card", { region: "fsn1" })], rels: [...many(28, (i) => rel(`fsn1/${i}`, `fsn1/${(i + 1) % 28}`, "contains")), rel("fsn1/card", "fsn1/3", "contains")] }),
  "3,000 containers within each other": () => ({ nodes: many(3000, (i) => node(`fsn1/${i}`, { region: "fsn1" })), rels: many(2999, (i) => rel(`fsn1/${i}`, `fsn1/${i + 1}`, "contains")) }),
  "a clique": () => ({ nodes: many(90, (i) => node(`n${i}`, { status: "failed" })), rels: many(90, (a) => many(90, (b) => rel(`n${a}`, `n${b}`))).flat() }),
  "2,000 regions": () => ({ nodes: many(2000, (i) => node(`r${i}/x`, { region: `r${i}`, label: "x" })), rels: many(1999, (i) => rel(`r${i}/x`, `r${i + 1}/x`)) }),
  "reserved and unprintable names": () => {
    const ids = TEXTS.filter((t) => t !== "");
    return {
      nodes: ids.map((t, i) => node(t, { label: t, region: TEXTS[(i * 7) % TEXTS.length], family: t, status: "failed", startedAt: 1_700_000_000_000, meta: { kind: "HelmRelease", namespace: t, reason: t, message: t, versionApplied: t, waitingFor: [t] } })),
      rels: ids.map((t, i) => rel(t, ids[(i + 3) % ids.length] as string, TYPES[i % TYPES.length])),
    };
  },
  "equal names": () => ({ nodes: many(40, (i) => node(`same/${i}`, { label: "same", region: i % 2 === 0 ? "a" : "b", startedAt: 1_700_000_000_000, meta: { kind: "HelmRelease", waitingSince: 1_600_000_000_000 } })), rels: [] }),
  "the earliest and latest instants": () => ({
    nodes: INSTANTS.map((at, i) => node(`t${i}`, { status: STATUSES[i % 4], startedAt: at, ...(i % 3 === 0 ? {} : { endedAt: INSTANTS[(i * 5) % INSTANTS.length] }), meta: { kind: "HelmRelease", reason: "SourceNotReady", reasonSince: at, waitingSince: at, ...(i % 4 === 0 ? { deletingSince: at } : {}) } })),
    rels: many(INSTANTS.length - 1, (i) => rel(`t${i}`, `t${i + 1}`)),
  }),
  "instants in meta that are not dates": () => ({
    nodes: [9e15, -9e15, 1.5, 1e300].map((at, i) => node(`m${i}`, { status: "failed", startedAt: 1, meta: { kind: "HelmRelease", reason: "InstallFailed", reasonSince: at, waitingSince: at, ...(i % 2 === 0 ? { deletingSince: at } : {}) } })),
    rels: [],
  }),
  "meta of the wrong types": () => ({ nodes: many(META.length * 4, (i) => node(`w${i}`, { status: STATUSES[i % 4], meta: { kind: "HelmRelease", ...Object.fromEntries(META.map((m, k) => [m, WRONG[(i + k * 3) % WRONG.length]])) } })), rels: many(40, (i) => rel(`w${i}`, `w${i + 1}`)) }),
  "judgements of the wrong types": () => ({
    nodes: many(JUDGED.length * 4, (i) => node(`j${i}`, { status: STATUSES[i % 4], region: "r", meta: { kind: "HelmRelease", auxiliary: i % 5 === 0, judgement: { ...Object.fromEntries(JUDGED.map((m, k) => [m, WRONG[(i + k * 3) % WRONG.length]])), state: STATES[i % STATES.length] } } })),
    rels: many(40, (i) => rel(`j${i}`, `j${i + 1}`)),
  }),
  "judgements that refer to each other": () => ({
    nodes: many(60, (i) => node(`j${i}`, { region: "r", meta: { auxiliary: i % 4 === 0, judgement: { state: STATES[i % STATES.length], marks: MARKS, since: 0, cause: { class: "x", sentence: TEXTS[i % TEXTS.length] }, problem: true, blamesSource: true, ...Object.fromEntries(["needs", "named", "readyWhile", "checks"].map((k) => [k, [`j${(i + 1) % 60}`, `j${(i * 7) % 60}`, "gone"]])), source: `j${(i + 4) % 60}` } } })),
    rels: [],
  }),
  "a region that lists an unwatched kind twice": () => ({
    nodes: [node("fsn1", { region: "fsn1", meta: { kind: "Region", namespaces: ["*"], notWatched: [{ kind: "K", why: "a" }, { kind: "K", why: "b" }, { why: 1 }] } }), node("fsn1/a", { region: "fsn1" })],
    rels: [rel("fsn1/a", "fsn1", "contains")],
  }),
};

export function mixture(seed: number): Hostile {
  const d = new Dice(seed);
  const ids = [...new Set(many(1 + d.below(150), () => (d.below(3) === 0 ? d.pick(TEXTS) || "x" : `${d.pick(TEXTS)}/${d.below(60)}`)))];
  const regions = many(1 + d.below(12), () => d.pick(TEXTS));
  const judgement = (): unknown => ({ state: d.pick(STATES), marks: [d.pick(MARKS), d.pick(TEXTS), d.pick(MARKS)], cause: { class: d.pick(TEXTS), sentence: d.pick(TEXTS) }, problem: d.below(2) === 0, ...Object.fromEntries(["since", "nextTry", "limit", "attempts", "of"].filter(() => d.below(2) === 0).map((k) => [k, d.pick(INSTANTS)])), ...Object.fromEntries(["needs", "readyWhile", "checks"].filter(() => d.below(2) === 0).map((k) => [k, [d.pick(ids), d.pick(ids)]])), source: d.pick(ids), blamesSource: d.below(2) === 0, then: [{ at: d.pick(INSTANTS), state: d.pick(STATES), problem: true }] });
  const maybe = (name: string, value: unknown): Record<string, unknown> => (d.below(2) === 0 ? {} : { [name]: value });
  const nodes = ids.map((id) =>
    node(id, {
      label: d.pick(TEXTS) || "x",
      status: d.pick(STATUSES),
      ...maybe("region", d.pick(regions)),
      ...maybe("family", d.pick(TEXTS)),
      ...maybe("startedAt", d.pick(INSTANTS)),
      ...maybe("endedAt", d.pick(INSTANTS)),
      ...maybe("meta", { ...maybe("judgement", judgement()), ...maybe("auxiliary", true), ...Object.fromEntries(META.filter(() => d.below(3) === 0).map((m) => [m, d.below(2) === 0 ? d.pick(WRONG) : d.pick<unknown>([d.pick(TEXTS), d.pick(INSTANTS), "HelmRelease", "Region", [d.pick(ids)]])])) }),
    }),
  );
  const rels = many(d.below(300), () => ({ ...rel(d.pick([...ids, "gone"]), d.pick([...ids, "lost"]), d.pick(TYPES)), ...maybe("condition", d.pick(["on-success", "on-failure", "always"])), ...(d.below(8) === 0 ? { toFlowId: d.pick(TEXTS) } : {}), ...(d.below(8) === 0 ? { lag: d.below(1e9) } : {}) }));
  return { nodes, rels };
}

/** Maximum bytes of one batch. The server accepts 16 MiB. */
const MOST_BYTES = 1_000_000;

export async function post(server: Server, flow: string, { nodes, rels }: Hostile): Promise<void> {
  const lines: string[] = [];
  const batch = (list: readonly unknown[], line: (part: readonly unknown[]) => unknown): void => {
    for (let i = 0; i < list.length; i += 25) lines.push(JSON.stringify(line(list.slice(i, i + 25))));
  };
  batch(nodes, (part) => ({ type: "upsert-nodes", nodes: part.map((n) => ({ ...(n as Node), flowId: flow })) }));
  batch(rels, (part) => ({ type: "upsert-rels", relationships: part }));
  let part: string[] = [], size = 0;
  for (const line of lines) {
    const bytes = Buffer.byteLength(line) + 1;
    if (part.length > 0 && size + bytes > MOST_BYTES) {
      await server.post(flow, part);
      [part, size] = [[], 0];
    }
    part.push(line);
    size += bytes;
  }
  await server.post(flow, part);
}

export interface Survey {
  readonly faults: readonly string[];
  /** The longest task of the page's main thread, in milliseconds, by open view. */
  readonly longest: Readonly<Record<string, number>>;
}

/** Opens every view of a flow, the details of some nodes, the help and the fleet. */
export async function survey(browser: Browser, url: string, flow: string, ids: readonly string[], options: { readonly width?: number } = {}): Promise<Survey> {
  const v = await visit(browser, `${url}?flow=${flow}`, {
    ...options,
    setup: async (page) => {
      await page.addInitScript(() => {
        const all: { start: number; ms: number }[] = [];
        Object.assign(globalThis, { tasks: all });
        new PerformanceObserver((list) => list.getEntries().forEach((e) => all.push({ start: e.startTime, ms: e.duration }))).observe({ type: "longtask", buffered: true });
      });
    },
  });
  const { page } = v;
  const longest: Record<string, number> = {};
  const check = async (what: string): Promise<void> => {
    await whole(page);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50)))));
    const text = await page.locator("body").innerText();
    for (const bad of ["This part could not be drawn", "could not be loaded", "Cannot load"]) if (text.includes(bad)) v.faults.push(`${what}: ${bad}`);
    longest[what] = Math.max(longest[what] ?? 0, await page.evaluate(() => (globalThis as unknown as { tasks: { ms: number }[] }).tasks.splice(0).reduce((most, t) => Math.max(most, t.ms), 0)));
  };
  const go = (change: Readonly<Record<string, string>>): Promise<void> =>
    page.evaluate((query) => {
      history.pushState(null, "", `?${query}`);
      dispatchEvent(new PopStateEvent("popstate"));
    }, new URLSearchParams({ flow, ...change }).toString());
  try {
    await page.waitForSelector("nav[aria-label=Views]");
    await page.waitForSelector("main[aria-label]");
    await check("graph at first");
    for (const view of VIEWS) {
      await go({ view: view.id });
      await check(view.id);
    }
    for (const id of ids) {
      await go({ view: "table", node: id });
      await page.waitForSelector("#details");
      await page.locator("#details summary").first().click({ timeout: 1000 }).catch(() => undefined);
      await check("details");
      await go({ node: id, trace: "blocked" });
      await check("graph with details");
    }
    await go({ q: ids[0]?.slice(0, 8) ?? "a", state: "broken,working", trace: "critical" });
    await check("filtered");
    await page.keyboard.press("?");
    await page.waitForSelector("dialog[open]");
    await page.keyboard.press("Escape");
    await check("help");
    await page.goto(url);
    await page.waitForSelector("article");
    await check("fleet");
  } catch (e) {
    v.faults.push(`${flow}: ${e instanceof Error ? e.message : String(e)}`);
  } finally {
    await v.close();
  }
  return { faults: v.faults, longest };
}
