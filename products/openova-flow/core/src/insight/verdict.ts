import { GRACE_MS } from "../graph/judgement.js";
import type { FlowNode } from "../contract/types.js";
import { age, behind, later, names, type Insight, type Vertex } from "./insight.js";

export type Verdict = "passed" | "failed" | "pending";

/** Marks of a ready node that is not at the current revision of its source or manifest. */
const OUTDATED: ReadonlySet<string> = new Set(["not-observed", "old-revision", "source-stale"]);

/**
 * The verdict on the nodes that count, whether a failure is final, and in `open` the ids of those that may still change by themselves, in
 * byte order.
 */
export function verdictOf(insight: Insight, counts: (node: FlowNode) => boolean = () => true): { readonly verdict: Verdict; readonly final: boolean; readonly open: readonly string[] } {
  const counted = insight.vertices.filter((v) => v.isMember && counts(v.node as FlowNode));
  const ids = new Set(names(counted));
  const problems = insight.problems().filter((p) => [...p.ids, ...p.blocks].some((id) => ids.has(id)));
  const changeable = mayChange(insight.vertices);
  const open = names(counted.filter((v) => changeable.has(v)));
  const isBad = problems.length > 0 || counted.some((v) => v.state === "suspended" && v.own.gate !== "pass");
  const isGood = counted.every((v) => v.isSatisfied && !insight.marks(v.id).some((m) => OUTDATED.has(m)));
  const verdict = counted.length === 0 ? "pending" : isBad && open.length === 0 ? "failed" : isGood && !isBad ? "passed" : "pending";
  return { verdict, final: verdict === "failed" && problems.some((p) => p.final), open };
}

function mayChange(vertices: readonly Vertex[]): ReadonlySet<Vertex> {
  const able = vertices.filter((v) => v.node !== undefined && !v.isSatisfied && v.cycle === undefined);
  // Root causes that Flux retries, or that are too young to be final.
  const changing = new Set(able.filter((v) => !v.isLost && (v.isStuck ? age(v, later(v)) <= GRACE_MS : v.isRoot && v.own.gate === "wait")));
  const downstream = behind([...changing]);
  const goesOn = (v: Vertex): boolean => (downstream.has(v) || (!v.waits && v.state !== "broken")) && v.own.gate === "wait";
  // A missing dependency may still be created.
  const mayStart = (v: Vertex): boolean => v.waits && age(v) <= GRACE_MS && v.needs.some((d) => d.node === undefined);
  return new Set(able.filter((v) => (v.isRoot ? changing.has(v) : goesOn(v) || mayStart(v))));
}
