import { DISPLAY_STATES, isFlowId, type DisplayState, type Filter } from "@openova/flow-core";

export const VIEWS = ["graph", "timeline", "table", "matrix", "rollouts"] as const;
export type View = (typeof VIEWS)[number];

/** What part of the graph stands out besides the selection. */
export type Trace = "blocked" | "critical";

/** Everything that a link to the page says. */
export interface Route {
  /** Null is the fleet. */
  readonly flow: string | null;
  readonly view: View;
  readonly node: string | null;
  readonly query: string;
  readonly displays: readonly DisplayState[];
  readonly regions: readonly string[];
  readonly families: readonly string[];
  /** The instant that is shown, in Unix milliseconds; null is live. */
  readonly at: number | null;
  /** The rollout that is shown; null is the current one. */
  readonly rollout: string | null;
  readonly trace: Trace | null;
}

export const HOME: Route = {
  flow: null,
  view: "graph",
  node: null,
  query: "",
  displays: [],
  regions: [],
  families: [],
  at: null,
  rollout: null,
  trace: null,
};

/** Reads a query string; what it cannot read is as if it were not there. */
export function parseRoute(search: string): Route {
  const p = new URLSearchParams(search);
  const view = VIEWS.find((v) => v === p.get("view"));
  const trace = p.get("trace");
  return {
    flow: flowId(p.get("flow")),
    view: view ?? "graph",
    node: text(p.get("node")),
    query: p.get("q") ?? "",
    displays: unique(p.getAll("state").flatMap((s) => s.split(","))).filter(isDisplay),
    regions: unique(p.getAll("region")),
    families: unique(p.getAll("family")),
    at: instant(p.get("at")),
    rollout: text(p.get("rollout")),
    trace: trace === "blocked" || trace === "critical" ? trace : null,
  };
}

/** The query string of a route, with "?" in front; what is as by default is left out. The empty route gives "?", which is a relative URL too. */
export function formatRoute(route: Route): string {
  const p = new URLSearchParams();
  if (route.flow !== null) {
    p.set("flow", route.flow);
    if (route.view !== "graph") p.set("view", route.view);
  }
  if (route.query !== "") p.set("q", route.query);
  if (route.displays.length > 0) p.set("state", route.displays.join(","));
  for (const r of route.regions) p.append("region", r);
  for (const f of route.families) p.append("family", f);
  if (route.rollout !== null) p.set("rollout", route.rollout);
  if (route.node !== null) p.set("node", route.node);
  if (route.trace !== null) p.set("trace", route.trace);
  if (route.at !== null && isDate(route.at)) p.set("at", new Date(route.at).toISOString());
  // These mean nothing in a query and are easier to read as they are.
  return `?${p.toString().replace(/%2F/g, "/").replace(/%3A/g, ":").replace(/%2C/g, ",")}`;
}

export function filterOf(route: Route): Filter {
  return {
    query: route.query,
    displays: new Set(route.displays),
    regions: new Set(route.regions),
    families: new Set(route.families),
  };
}

/** The list with `value` put in or taken out. */
export function toggled<T>(list: readonly T[], value: T): readonly T[] {
  return list.includes(value) ? list.filter((v) => v !== value) : [...list, value];
}

/** A link from elsewhere does not lead to another path of the server. */
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

/** Unix milliseconds, or a date as ISO 8601 has it. */
function instant(value: string | null): number | null {
  if (value === null || value === "") return null;
  const ms = /^\d+$/.test(value) ? Number(value) : Date.parse(value);
  return Number.isSafeInteger(ms) && isDate(ms) ? ms : null;
}

function isDate(ms: number): boolean {
  return Math.abs(ms) <= 8.64e15;
}
