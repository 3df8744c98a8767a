import { DISPLAY_STATES, isFlowId, type DisplayState, type Filter } from "@openova/flow-core";
import { VIEWS, type ViewId } from "./views.js";

/** The part of the graph that is highlighted besides the selection. */
export type Trace = "blocked" | "critical";

/** The content of a link to the page. */
export interface Route {
  /** Null: the fleet. */
  readonly flow: string | null;
  readonly view: ViewId;
  readonly node: string | null;
  readonly query: string;
  readonly displays: readonly DisplayState[];
  readonly regions: readonly string[];
  readonly families: readonly string[];
  readonly namespaces: readonly string[];
  /** Whether releases are grouped by namespace, in graph and outline within each region. Null: each view's own grouping. */
  readonly group: "namespace" | null;
  /** The instant shown, in Unix milliseconds; null: live. */
  readonly at: number | null;
  /** The rollout shown; null: the current or last one at the instant shown. */
  readonly rollout: string | null;
  /** The revision shown: a whole one, or the first digits of a commit. A link with it and without a view opens the revisions. */
  readonly revision: string | null;
  readonly trace: Trace | null;
}

export const UNFILTERED = { query: "", displays: [], regions: [], families: [], namespaces: [], rollout: null } as const;

export const HOME: Route = {
  flow: null,
  view: "graph",
  node: null,
  query: "",
  displays: [],
  regions: [],
  families: [],
  namespaces: [],
  group: null,
  at: null,
  rollout: null,
  revision: null,
  trace: null,
};

/** Parses a query string; ignores what it cannot parse. */
export function parseRoute(search: string): Route {
  const p = new URLSearchParams(search);
  const view = VIEWS.find((v) => v.id === p.get("view"));
  const trace = p.get("trace");
  const revision = text(p.get("revision"));
  return {
    flow: flowId(p.get("flow")),
    view: view?.id ?? (revision === null ? "graph" : "revisions"),
    node: text(p.get("node")),
    query: p.get("q") ?? "",
    displays: unique(p.getAll("state").flatMap((s) => s.split(","))).filter(isDisplay),
    regions: unique(p.getAll("region")),
    families: unique(p.getAll("family")),
    namespaces: unique(p.getAll("namespace")),
    group: p.get("group") === "namespace" ? "namespace" : null,
    at: instant(p.get("at")),
    rollout: text(p.get("rollout")),
    revision,
    trace: trace === "blocked" || trace === "critical" ? trace : null,
  };
}

/** The query string of a route, with "?" in front and without defaults. The empty route gives "?", which is a relative URL too. */
export function formatRoute(route: Route): string {
  const p = new URLSearchParams();
  if (route.flow !== null) {
    p.set("flow", route.flow);
    if (route.view !== "graph" || route.revision !== null) p.set("view", route.view);
  }
  if (route.query !== "") p.set("q", route.query);
  if (route.displays.length > 0) p.set("state", route.displays.join(","));
  for (const r of route.regions) p.append("region", r);
  for (const f of route.families) p.append("family", f);
  for (const n of route.namespaces) p.append("namespace", n);
  if (route.group !== null) p.set("group", route.group);
  if (route.rollout !== null) p.set("rollout", route.rollout);
  if (route.revision !== null) p.set("revision", route.revision);
  if (route.node !== null) p.set("node", route.node);
  if (route.trace !== null) p.set("trace", route.trace);
  if (route.at !== null && isDate(route.at)) p.set("at", new Date(route.at).toISOString());
  // These need no escaping in a query and are easier to read without.
  return `?${p.toString().replace(/%2F/g, "/").replace(/%3A/g, ":").replace(/%2C/g, ",")}`;
}

export function filterOf(route: Route): Filter {
  return {
    query: route.query,
    displays: new Set(route.displays),
    regions: new Set(route.regions),
    families: new Set(route.families),
    namespaces: new Set(route.namespaces),
  };
}

/** The list with `value` added or removed. */
export function toggled<T>(list: readonly T[], value: T): readonly T[] {
  return list.includes(value) ? list.filter((v) => v !== value) : [...list, value];
}

/** Null for an invalid id, so that a foreign link cannot lead to another path of the server. */
function flowId(value: string | null): string | null {
  return value !== null && isFlowId(value) ? value : null;
}

function text(value: string | null): string | null {
  return value === null || value === "" ? null : value;
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)].filter((v) => v !== "");
}

function isDisplay(value: string): value is DisplayState {
  return (DISPLAY_STATES as readonly string[]).includes(value);
}

/** Unix milliseconds or an ISO 8601 date. */
function instant(value: string | null): number | null {
  if (value === null || value === "") return null;
  const ms = /^\d+$/.test(value) ? Number(value) : Date.parse(value);
  return Number.isSafeInteger(ms) && isDate(ms) ? ms : null;
}

function isDate(ms: number): boolean {
  return Math.abs(ms) <= 8.64e15;
}
