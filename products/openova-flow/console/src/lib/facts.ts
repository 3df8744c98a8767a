import { judgedAt, judgementOf, metaOf, type FlowNode } from "@openova/flow-core";
import { dateTime, duration } from "./format.js";

/** The tries, the next try and the time limit of a node. `at`: the instant judged; `now`: the current time, for dates. */
export function judgedFacts(node: FlowNode, at: number, now: number): readonly (readonly [string, string | undefined])[] {
  const { attempts, of, nextTry, limit } = judgedAt(judgementOf(node), at);
  const tries = attempts ?? metaOf(node).attempts;
  const next = nextTry === undefined ? undefined : `${dateTime(nextTry, now)}${nextTry > at ? `, in ${duration(nextTry - at)}` : ""}`;
  return [
    [attempts === undefined ? "Tries" : "Try", tries === undefined ? undefined : of === undefined ? String(tries) : `${tries} of ${of}`],
    ["Next try", next],
    ["Limit", limit === undefined ? undefined : duration(limit)],
  ];
}
