import { components, cyclesOf } from "./adjacency.js";
import type { FlowGraph, GraphEdge } from "./graph.js";
import { GRACE_MS, judgedAt, judgementOf, type Judged, type JudgedState } from "./judgement.js";
import { knownUntil } from "./regions.js";
import { SENTENCES, type SentenceName } from "./sentences.js";
import { compareBytes } from "./state.js";
import type { FlowNode } from "./types.js";

/** A root cause: what is wrong at one place, and what comes of it. */
export interface Root {
  /** The root first, then what shows the same cause. */
  readonly ids: readonly string[];
  readonly class: string;
  readonly sentence: string;
  readonly command?: readonly string[];
  readonly since?: number | undefined;
  readonly state: JudgedState;
  /** What waits behind it, nearest first. */
  readonly blocks: readonly string[];
  /** There may be more: not every edge was looked at. */
  readonly blocksMore: boolean;
  readonly final: boolean;
  readonly isCycle: boolean;
  /** A cycle over regions: of none of them. */
  readonly isAcross: boolean;
}

interface Cycles {
  readonly own: ReadonlyMap<string, readonly string[]>;
  readonly across: ReadonlyMap<string, readonly string[]>;
}

export type Verdict = "passed" | "failed" | "pending";

/** How many edges of a cycle over regions its sentence names. */
const NAMED_EDGES = 4;
/** How many edges are looked at for all problems together, and for each of them at least, to tell what they block. */
const LOOKS = 200_000;
const LEAST_LOOKS = 10;
/** How many nodes are walked through in all to find causes: nobody has as many, unless they are made to be dear. */
const MOST_STEPS = 200_000;
const NONE: readonly string[] = [];
/** What a node that fails its health check is in, if that is why. */
const BAD: ReadonlySet<JudgedState> = new Set(["broken", "suspended", "terminating", "waiting"]);
const NOT_AS_ASKED: ReadonlySet<string> = new Set(["not-observed", "old-revision", "source-stale"]);

/** What the judgements of a graph's nodes come to together, at one instant. Made for one question or for many; answers are kept. */
export class Insight {
  readonly graph: FlowGraph;
  readonly now: number;
  #steps = 0;
  readonly #judged = new Map<string, Judged>();
  #cycles: Cycles | undefined;
  #dependents: ReadonlyMap<string, readonly string[]> | undefined;

  constructor(graph: FlowGraph, now: number) {
    this.graph = graph;
    this.now = now;
  }

  /** What a node is, with what depends on other nodes. Undefined for an id that is no node. */
  at(id: string): Judged | undefined {
    const node = this.graph.nodes.get(id);
    if (node === undefined) return undefined;
    return this.#judged.get(id) ?? this.#resolve(id);
  }

  state(id: string): JudgedState | undefined {
    return this.at(id)?.state;
  }

  /** The ids that a node waits for. */
  needs(id: string): readonly string[] {
    const node = this.graph.nodes.get(id);
    if (node === undefined) return NONE;
    const judgement = judgementOf(node);
    if (judgement.isJudged) return this.#waits(id) ? judgement.needs : NONE;
    if (node.status === "succeeded" || this.graph.isContainer(id)) return NONE;
    return [...new Set([...judgement.needs, ...this.graph.in(id).filter((e) => holds(this.graph, e)).map((e) => e.from)])];
  }

  /** What a node waits for in the end: the missing, the cycle, the root causes behind what it needs. In byte order. */
  heldBy(id: string): readonly string[] {
    const needs = this.needs(id);
    if (needs.length === 0) return NONE;
    const found = this.#walk(needs, id);
    if (found.size === 0) {
      const open = needs.filter((d) => !this.#isReady(d));
      const node = this.graph.nodes.get(id) as FlowNode;
      const named = judgementOf(node).named;
      for (const d of open.length > 0 ? open : named.length > 0 ? named : needs) found.add(d);
    }
    return [...found].sort(compareBytes);
  }

  /** The nodes that are the cause of how a node is: itself, unless others are. Empty for one that is ready. */
  roots(id: string): readonly string[] {
    if (this.#isReady(id)) return NONE;
    if (this.#isHeld(id)) {
      const held = this.heldBy(id);
      return held.length > 0 && !this.#isStuck(id) ? held : [id];
    }
    const found = this.#walk([id], "");
    return found.size > 0 ? [...found].sort(compareBytes) : [id];
  }

  marks(id: string): readonly string[] {
    const node = this.graph.nodes.get(id);
    const judged = this.at(id);
    if (node === undefined || judged === undefined) return NONE;
    const marks = [...judged.marks];
    if (judged.state === "ready" && this.#isSourceStale(node)) marks.push("source-stale");
    if (!marks.includes("old-revision") && this.graph.out(id).some((e) => this.#isNamedForItsRevision(e.to, id))) marks.push("old-revision");
    return marks;
  }

  /** What is wrong, worst first. */
  problems(): readonly Root[] {
    const victims = this.#victims();
    const roots: Root[] = [];
    const add = (id: string, part: Partial<Root>): void => {
      const judged = this.at(id) as Judged;
      const own = part.ids ?? [id];
      const ids = [...own, ...(victims.get(id) ?? []).filter((v) => !own.includes(v))];
      const { command, since } = judged;
      roots.push({
        class: judged.class, sentence: judged.sentence, ...(command === undefined ? {} : { command }), ...(since === undefined ? {} : { since }),
        state: judged.state, final: judged.final, isCycle: false, isAcross: false, ...part, ids, blocks: NONE, blocksMore: false,
      });
    };
    const holders = this.#holders();
    const byRevision = new Map<string, string>(), missing = new Map<string, string[]>();
    for (const [id, node] of this.graph.nodes) {
      if (this.graph.isContainer(id)) continue;
      const judged = this.at(id) as Judged;
      const cycle = this.cycleOf(id);
      if (cycle.length > 0) {
        const isAcross = !this.#bothCycles().own.has(id);
        if (isAcross ? cycle.find((m) => !this.#bothCycles().own.has(m)) === id : cycle[0] === id) add(id, { ids: isAcross ? [id, ...cycle.filter((m) => m !== id)] : cycle, isCycle: true, isAcross, class: "dependency-cycle", since: this.#since(cycle), ...this.#cycleWords(cycle) });
      } else if (judged.state === "suspended") {
        const unobserved = judged.marks.includes("not-observed") && judged.since !== undefined && this.#clock(node) - judged.since > GRACE_MS;
        if (holders.has(id) || victims.has(id)) add(id, { class: "suspended", final: true, ...words("suspended-holder", { name: node.label }) });
        else if (unobserved) add(id, { class: "suspended", final: true });
      } else if (judged.class === "dependency-missing" && judged.state === "broken") {
        push(missing, `${node.region} ${judgementOf(node).needs.find((d) => !this.graph.nodes.has(d))}`, id);
      } else if (judged.problem) {
        if (this.roots(id).includes(id)) add(id, {});
      } else if (this.#isStuck(id) && this.#clock(node) - this.#stuckSince(id, judged) > GRACE_MS) {
        const needs = this.needs(id);
        const named = judgementOf(node).named[0] ?? (needs[0] as string);
        const behind = judged.class === "dependency-revision" ? this.#outdatedBy(id) : undefined;
        if (behind !== undefined) byRevision.set(behind, id);
        else add(id, judged.class === "dependency-expr" ? { class: judged.class, ...words("held-by-expression", { name: node.label, dependency: this.#label(named) }) } : { class: "dependencies-ready", ...words("dependencies-ready", { name: node.label }) });
      }
    }
    for (const ids of missing.values()) add(ids.sort(compareBytes)[0] as string, { ids });
    for (const [id, waiter] of byRevision) {
      add(id, { class: "old-revision", ...words("held-by-revision", { name: this.#label(id), waiting: this.#label(waiter) }) });
    }
    const looks = Math.max(LEAST_LOOKS, Math.floor(LOOKS / roots.length));
    return roots.map((r) => ({ ...r, ...this.#behind(r.ids, looks) })).sort(worstFirst);
  }

  /** What a gate concludes of all nodes, or of those of one region. */
  verdict(region?: string): { readonly verdict: Verdict; readonly final: boolean } {
    const problems = this.problems().filter((p) => region === undefined || this.graph.nodes.get(p.ids[0] as string)?.region === region);
    let isGood = problems.length === 0, isOpen = false, isStuck = problems.length > 0;
    for (const [id, node] of this.graph.nodes) {
      if (this.graph.isContainer(id) || (region !== undefined && node.region !== region)) continue;
      const judged = this.at(id) as Judged;
      const isIn = judged.state === "ready" || (judged.state === "suspended" && judged.gate === "pass");
      if (!isIn || this.marks(id).some((m) => NOT_AS_ASKED.has(m))) isGood = false;
      if (judged.state === "suspended" && judged.gate !== "pass") isStuck = true;
      isOpen ||= this.#isOpen(id);
    }
    const verdict = isGood ? "passed" : isStuck && !isOpen ? "failed" : "pending";
    return { verdict, final: verdict === "failed" && problems.some((p) => p.final) };
  }

  #clock(node: FlowNode): number {
    return knownUntil(this.graph.state.regions, node.region, this.now);
  }

  #isReady(id: string): boolean {
    return this.state(id) === "ready";
  }

  /** Waits for dependencies, or is broken because one of them does not exist. */
  #waits(id: string): boolean {
    const node = this.graph.nodes.get(id) as FlowNode;
    return judgedAt(judgementOf(node), this.#clock(node)).state === "waiting" && !this.#isReady(id);
  }

  #isHeld(id: string): boolean {
    const state = this.state(id);
    const isOpen = state === "waiting" || (state === "not-started" && !judgementOf(this.graph.nodes.get(id) as FlowNode).isJudged);
    return isOpen && this.needs(id).length > 0;
  }

  /** Waits although all that it needs is ready. */
  #isStuck(id: string): boolean {
    if (this.state(id) !== "waiting") return false;
    const needs = this.needs(id);
    return needs.length > 0 && needs.every((d) => this.#isReady(d));
  }

  #stuckSince(id: string, judged: Judged): number {
    let since = judged.since ?? -Infinity;
    for (const d of this.needs(id)) since = Math.max(since, this.at(d)?.since ?? -Infinity);
    return since;
  }

  /** What a node is at its own clock, before it is known how others are. */
  #own(id: string): Judged {
    const node = this.graph.nodes.get(id) as FlowNode;
    return judgedAt(judgementOf(node), this.#clock(node));
  }

  #resolve(id: string): Judged {
    // Depth first along readyWhile, without recursion. What is met again on the way is not ready.
    const path: string[] = [id];
    const open = new Set(path);
    for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
      const node = this.graph.nodes.get(at) as FlowNode;
      const own = this.#own(at);
      const judgement = judgementOf(node);
      if (own.state === "waiting" && judgement.readyWhile.length > 0) {
        const ahead = judgement.readyWhile.find((d) => this.graph.nodes.has(d) && !this.#judged.has(d) && !open.has(d));
        if (ahead !== undefined) {
          path.push(ahead);
          open.add(ahead);
          continue;
        }
        if (judgement.readyWhile.every((d) => this.#judged.get(d)?.state === "ready")) {
          this.#judged.set(at, { ...own, state: "ready", gate: "pass", problem: false, marks: own.marks });
          open.delete(path.pop() as string);
          continue;
        }
      }
      this.#judged.set(at, this.#withMissing(node, own));
      open.delete(path.pop() as string);
    }
    return this.#judged.get(id) as Judged;
  }

  #withMissing(node: FlowNode, own: Judged): Judged {
    if (own.state !== "waiting" || own.since === undefined || this.#clock(node) - own.since <= GRACE_MS) return own;
    const missing = judgementOf(node).needs.find((d) => !this.graph.nodes.has(d));
    if (missing === undefined) return own;
    const { gate: _, ...rest } = own;
    return { ...rest, state: "broken", problem: true, class: "dependency-missing", ...this.#missingWords(node, missing) };
  }

  /** Walks from what a node needs to what is the cause in the end. */
  #walk(from: Iterable<string>, origin: string): Set<string> {
    const found = new Set<string>(), seen = new Set<string>([origin]), queue = [...from];
    for (let i = 0; i < queue.length && this.#steps < MOST_STEPS; i++) {
      this.#steps++;
      const d = queue[i] as string;
      const cycle = this.cycleOf(d);
      if (cycle.length > 0) {
        const isAcross = !this.#bothCycles().own.has(d) && origin !== "";
        // Over regions each is held by what the others declare: what a foreign edge adds to its own part holds nothing.
        for (const m of cycle) if ((m !== origin || cycle.length === 1) && !(isAcross && this.#regionOf(m) === this.#regionOf(origin))) found.add(m);
        continue;
      }
      if (seen.has(d)) continue;
      seen.add(d);
      const node = this.graph.nodes.get(d);
      if (node === undefined) {
        found.add(d);
        continue;
      }
      const state = this.state(d) as JudgedState;
      if (state === "ready") continue;
      const judgement = judgementOf(node);
      if (this.#isHeld(d)) {
        if (this.#isStuck(d)) found.add(d);
        else queue.push(...this.needs(d));
        continue;
      }
      const bad = judgement.checks.filter((c) => BAD.has(this.state(c) as JudgedState));
      const isSourceBad = judgement.blamesSource && judgement.source !== undefined && this.graph.nodes.has(judgement.source) && !this.#isReady(judgement.source);
      if (bad.length > 0) queue.push(...bad);
      else if (isSourceBad) queue.push(judgement.source as string);
      else found.add(d);
    }
    return found;
  }

  /** What a node waits for next: what it needs, the bad ones among what it checks, its source if that is to blame. */
  behind(id: string): readonly string[] {
    const node = this.graph.nodes.get(id);
    if (node === undefined || this.#isReady(id)) return NONE;
    const needs = this.needs(id);
    if (needs.length > 0) return needs;
    const { checks, blamesSource, source } = judgementOf(node);
    return blamesSource && source !== undefined ? [...checks, source] : checks;
  }

  /** By root: the nodes that are as they are because of it, and do not just wait. */
  #victims(): ReadonlyMap<string, readonly string[]> {
    const all = new Map<string, string[]>();
    for (const [id, node] of this.graph.nodes) {
      const { checks, blamesSource } = judgementOf(node);
      if ((checks.length === 0 && !blamesSource) || this.graph.isContainer(id) || this.#isReady(id) || this.#isHeld(id)) continue;
      for (const root of this.roots(id)) if (root !== id) push(all, root, id);
    }
    for (const ids of all.values()) ids.sort(compareBytes);
    return all;
  }

  /** All that somebody is held by. */
  #holders(): ReadonlySet<string> {
    const held = [...this.graph.nodes.keys()].filter((id) => !this.graph.isContainer(id) && this.#isHeld(id) && !this.#isStuck(id));
    return this.#walk(new Set(held.flatMap((id) => this.needs(id))), "");
  }

  /** What waits behind some nodes, nearest first, as far as looking at `most` edges tells. */
  #behind(ids: readonly string[], most: number): Pick<Root, "blocks" | "blocksMore"> {
    const dependents = (this.#dependents ??= this.#reverse());
    const seen = new Set(ids);
    let left = most;
    for (const at of seen) {
      for (const to of dependents.get(at) ?? NONE) {
        if (left-- <= 0) return { blocks: [...seen].slice(ids.length), blocksMore: true };
        seen.add(to);
      }
    }
    return { blocks: [...seen].slice(ids.length), blocksMore: false };
  }

  #reverse(): ReadonlyMap<string, readonly string[]> {
    const all = new Map<string, string[]>();
    for (const id of [...this.graph.nodes.keys()].sort(compareBytes)) {
      for (const d of this.needs(id)) if (!this.#isReady(d)) push(all, d, id);
    }
    return all;
  }

  /** The cycle of waiting nodes that a node lies on, in byte order: that of its region, else one over regions. Empty for one that lies on none. */
  cycleOf(id: string): readonly string[] {
    const { own, across } = this.#bothCycles();
    return own.get(id) ?? across.get(id) ?? NONE;
  }

  #bothCycles(): Cycles {
    if (this.#cycles === undefined) {
      const held = [...this.graph.nodes.keys()].filter((n) => this.#isHeld(n));
      const next = (n: string): readonly string[] => this.needs(n).filter((d) => this.graph.nodes.has(d) && this.#isHeld(d));
      const own = cyclesAmong(held, (n) => next(n).filter((d) => this.#regionOf(d) === this.#regionOf(n)));
      const across = cyclesAmong(held, next);
      this.#cycles = { own, across: new Map([...across].filter(([, members]) => new Set(members.map((m) => this.#regionOf(m))).size > 1)) };
    }
    return this.#cycles;
  }

  #regionOf(id: string): string {
    return this.graph.nodes.get(id)?.region ?? "";
  }

  #isSourceStale(node: FlowNode): boolean {
    const { source } = judgementOf(node);
    const from = source === undefined ? undefined : this.graph.nodes.get(source);
    if (from === undefined) return false;
    const judged = this.at(from.id) as Judged;
    return judged.state !== "ready" && judged.since !== undefined && this.#clock(from) - judged.since > GRACE_MS;
  }

  #isNamedForItsRevision(waiter: string, id: string): boolean {
    return this.at(waiter)?.class === "dependency-revision" && this.#isHeld(waiter) && this.#outdatedBy(waiter) === id;
  }

  /** What has another revision than a node waits for. It is of the same region: none says what is wrong with a node of another. */
  #outdatedBy(waiter: string): string | undefined {
    const { named } = judgementOf(this.graph.nodes.get(waiter) as FlowNode);
    return [...named, ...this.needs(waiter)].find((d) => this.graph.nodes.has(d) && this.#regionOf(d) === this.#regionOf(waiter));
  }

  /** Whether something goes on at a node that a gate waits for. What only suffers from others is as open as they are. */
  #isOpen(id: string): boolean {
    const judged = this.at(id) as Judged;
    if (judged.gate === "wait" && judged.state !== "broken") return true;
    if (judged.gate === "wait") {
      const roots = this.roots(id).filter((r) => r !== id);
      return roots.length === 0 || roots.some((r) => this.at(r)?.gate === "wait" || this.#isStuck(r));
    }
    if (judged.state !== "waiting") return false;
    const node = this.graph.nodes.get(id) as FlowNode;
    const needs = this.needs(id);
    const isMissing = needs.some((d) => !this.graph.nodes.has(d));
    if (isMissing) return judged.since !== undefined && this.#clock(node) - judged.since <= GRACE_MS;
    return this.#isStuck(id) && this.#clock(node) - this.#stuckSince(id, judged) <= GRACE_MS;
  }

  #since(ids: readonly string[]): number | undefined {
    const all = ids.flatMap((id) => this.at(id)?.since ?? []);
    return all.length === 0 ? undefined : Math.min(...all);
  }

  #label(id: string): string {
    return this.graph.nodes.get(id)?.label ?? id;
  }

  #cycleWords(cycle: readonly string[]): Pick<Root, "sentence"> {
    const regionOf = (id: string): string => this.#regionOf(id);
    const regions = new Set(cycle.map(regionOf));
    if (regions.size > 1) {
      // Which region closed the cycle is not known, so the sentence says what each declares.
      const across = cycle.flatMap((id) => this.needs(id).filter((d) => cycle.includes(d) && regionOf(d) !== regionOf(id)).map((d) => `${regionOf(id) || "no region"} declares that ${this.#label(id)} waits for ${this.#label(d)}`));
      const more = across.length > NAMED_EDGES ? `, and ${across.length - NAMED_EDGES} more` : "";
      return words("cycle-across", { regions: String(regions.size), edges: across.slice(0, NAMED_EDGES).join(", ") + more });
    }
    if (cycle.length === 1) return words("self-cycle", { name: this.#label(cycle[0] as string) });
    const named = cycle.slice(0, 5).map((id) => this.#label(id));
    return words("cycle", { names: named.join(", ") + (cycle.length > 5 ? ` and ${cycle.length - 5} more` : "") });
  }

  #missingWords(node: FlowNode, missing: string): { sentence: string; command: readonly string[] } {
    const meta = node.meta ?? {};
    const kind = typeof meta["kind"] === "string" ? meta["kind"] : "HelmRelease";
    const { namespace, name } = placeOf(missing);
    const other = [`${node.region}/Kustomization/${namespace}/${name}`, `${node.region}/${namespace}/${name}`, `${node.region}/${name}`].find((id) => id !== missing && this.graph.nodes.has(id));
    const values = { name: node.label, missing: `${namespace}/${name}` };
    const command = ["kubectl", "-n", namespace, "get", kind.toLowerCase(), name];
    if (other === undefined) return { ...words("dependency-missing", values), command };
    const otherKind = this.graph.nodes.get(other)?.meta?.["kind"];
    return { ...words("dependency-of-another-kind", { ...values, kind, other: typeof otherKind === "string" ? otherKind : "node" }), command };
  }
}

/** The namespace and name in a node id as the Flux adapter makes them. */
function placeOf(id: string): { namespace: string; name: string } {
  const part = id.split("/");
  return part.length < 3 ? { namespace: "flux-system", name: part.at(-1) as string } : { namespace: part.at(-2) as string, name: part.at(-1) as string };
}

function words(name: SentenceName, values: Readonly<Record<string, string>>): { sentence: string } {
  return { sentence: SENTENCES[name].replace(/\{(\w+)\}/g, (_, key: string) => values[key] ?? "") };
}

function push(map: Map<string, string[]>, key: string, value: string): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function worstFirst(a: Root, b: Root): number {
  return (
    Number(neverEnds(b)) - Number(neverEnds(a)) ||
    b.blocks.length - a.blocks.length ||
    (a.since ?? 0) - (b.since ?? 0) ||
    compareBytes(a.ids[0] as string, b.ids[0] as string)
  );
}

function neverEnds(r: Root): boolean {
  return r.state === "broken" || r.isCycle;
}

/** Whether an edge keeps its `to` from going on. What lies in another flow is not known and holds nothing. */
function holds(graph: FlowGraph, e: GraphEdge): boolean {
  if (e.type === "triggers" || e.fromFlowId !== undefined) return false;
  const from = graph.nodes.get(e.from);
  if (from === undefined) return true;
  if (e.type === "start-to-start" || e.type === "start-to-finish") return from.status === "pending" && from.startedAt === undefined;
  switch (e.condition) {
    case "on-failure":
      return from.status !== "failed";
    case "always":
      return from.status !== "failed" && from.status !== "succeeded";
    default:
      return from.status !== "succeeded";
  }
}

/** The cycles among nodes, by member: components of more than one, and nodes that lead to themselves. */
function cyclesAmong(ids: readonly string[], next: (id: string) => readonly string[]): ReadonlyMap<string, readonly string[]> {
  const component = components(ids, next);
  return cyclesOf(ids.filter((id) => next(id).some((d) => component.get(d) === component.get(id))), component);
}
