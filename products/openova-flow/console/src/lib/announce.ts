import type { DisplayState, Regions } from "@openova/flow-core";
import { plural, WORDS } from "./format.js";

/** States for which several releases are named, since a person may have to act. */
const NAMED: ReadonlySet<DisplayState> = new Set<DisplayState>(["broken", "suspended", "terminating"]);
const NAMED_AT_MOST = 3;
const ORDER: readonly DisplayState[] = ["broken", "terminating", "suspended", "ready", "working", "waiting", "unconfirmed"];

/** The changes between two states of a flow, in a sentence; empty without changes. Changes to "not started" are left out. */
export function announcement(
  before: ReadonlyMap<string, DisplayState>,
  after: ReadonlyMap<string, DisplayState>,
  label: (id: string) => string,
): string {
  const changed = new Map<DisplayState, string[]>();
  for (const [id, state] of after) {
    if (before.get(id) === state) continue;
    const list = changed.get(state);
    if (list === undefined) changed.set(state, [id]);
    else list.push(id);
  }
  const gone = [...before.keys()].filter((id) => !after.has(id)).length;
  const parts = ORDER.flatMap((state) => {
    const ids = changed.get(state) ?? [];
    if (ids.length === 0) return [];
    if (ids.length === 1 || (NAMED.has(state) && ids.length <= NAMED_AT_MOST)) return [`${ids.map(label).join(", ")} ${WORDS[state]}`];
    return [`${plural(ids.length, "release")} ${WORDS[state]}`];
  });
  if (gone > 0) parts.push(`${plural(gone, "release")} removed`);
  return parts.length === 0 ? "" : `${parts.join("; ")}.`;
}

/** Regions that became stale, reported again, or were claimed by a second cluster; empty if none. */
export function regionNews(before: Regions, after: Regions): string {
  const news = [...after].flatMap(([name, lease]) => {
    const then = before.get(name);
    const texts = then === undefined || then.state === lease.state ? [] : [lease.state === "stale" ? `Region ${name} is stale.` : `Region ${name} reports again.`];
    if (lease.refused !== undefined && then?.refused?.cluster !== lease.refused.cluster) texts.push(`A second cluster claims region ${name} and is refused.`);
    return texts;
  });
  return news.slice(0, NAMED_AT_MOST).concat(news.length > NAMED_AT_MOST ? [`${plural(news.length - NAMED_AT_MOST, "more change")} of regions.`] : []).join(" ");
}
