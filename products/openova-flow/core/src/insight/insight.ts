import { components, push } from "../graph/adjacency.js";
import type { FlowGraph } from "../graph/graph.js";
import { GRACE_MS, judgedAt, judgementOf, satisfied, type Judged, type Judgement, type JudgedState } from "../graph/judgement.js";
import { HOME, objectOf } from "../contract/object-id.js";
import { knownUntil } from "../contract/regions.js";
import { SENTENCES } from "../words/sentences.js";
import { isOffered } from "../words/shell.js";
import { compareBytes } from "../fold/state.js";
import type { FlowNode } from "../contract/types.js";

/** A root cause, and the nodes that it affects. */
export interface Root {
  readonly id: string;
  /** The root; then, in byte order, the other nodes of its cycle or with the same missing need, and its victims. */
  readonly ids: readonly string[];
  /** Of the root; for a cycle across regions, the names of these regions. */
  readonly label: string;
  /** Empty for a cycle across regions. */
  readonly region: string;
  readonly display: JudgedState;
  /** The class of the cause: stable, for programs. */
  readonly reason: string;
  readonly sentence: string;
  /** The program and its arguments. */
  readonly command?: readonly string[];
  readonly since?: number;
  /** Ids of the nodes that wait for `ids`, directly or through others, nearest first. */
  readonly blocks: readonly string[];
  /** `blocks` may be incomplete, because the search reached its limit. */
  readonly blocksMore?: true;
  /** Does not change without a person. */
  readonly final: boolean;
}

export interface Cycle {
  readonly members: readonly Vertex[];
  readonly isAcross: boolean;
}

/** A node at the instant, or a missing id: one that nodes need, name or check. */
export interface Vertex {
  readonly id: string;
  readonly node: FlowNode | undefined;
  readonly judgement: Judgement;
  readonly own: Judged;
  readonly clock: number;
  readonly region: string;
  readonly label: string;
  /** An existing node that is not a container. */
  readonly isMember: boolean;
  readonly isSatisfied: boolean;
  state: JudgedState | undefined;
  /** Its index in byte order of the ids. */
  order: number;
  needs: readonly Vertex[];
  named: readonly Vertex[];
  checks: readonly Vertex[];
  source?: Vertex | undefined;
  /** Broken because a need does not exist. */
  isLost: boolean;
  /** It waits for its needs. */
  waits: boolean;
  /** It waits although all of its needs are satisfied. */
  isStuck: boolean;
  cycle?: Cycle;
  /** The cycle across regions that it is also a member of. */
  crosses?: Cycle;
  blames: readonly Vertex[];
  readonly blamedBy: Vertex[];
  readonly neededBy: Vertex[];
  isRoot: boolean;
  /** A dependent says that its revision is old. */
  isOutdated: boolean;
}

type Reason = keyof typeof SENTENCES.classes;
/**
 * A root cause. Without a reason it is the root's own judgement. `others`, in byte order, are the members of the root's cycle, the nodes
 * with its missing need, or the nodes that wait for its revision.
 */
type Cause = readonly [root: Vertex, since: number | undefined, reason?: Reason | undefined, others?: readonly Vertex[], isAcross?: boolean];

/** Limit of edges for each of the two searches, shared by all problems, and the minimum for one problem. */
const STEPS = 2_000_000;
const LEAST_STEPS = 100;
/** How many edges of a cycle across regions, and how many nodes, a sentence names. */
const NAMED_EDGES = 4;
const NAMED_NODES = 5;
const NAME = 512; // UTF-16 code units
const NONE: readonly string[] = [];
const REVISION = "dependency-revision";
/** The states in which a node blames checked nodes and its source. */
const BLAMES: ReadonlySet<string | undefined> = new Set(["broken", "working", "terminating", "not-started"]);
/** The states for which a checked node is blamed. */
const TROUBLED: ReadonlySet<string | undefined> = new Set(["broken", "suspended", "terminating", "waiting"]);

const kept = new WeakMap<FlowGraph, Insight>();

/** The insight of a graph at an instant. The last one of each graph is cached. */
export function insightOf(graph: FlowGraph, now: number): Insight {
  let insight = kept.get(graph);
  if (insight?.now !== now) kept.set(graph, (insight = new Insight(graph, now)));
  return insight;
}

/** Root causes and blocked nodes at an instant. Package `insight` of the server defines the rules. */
export class Insight {
  readonly now: number;
  /** The nodes and the missing ids, in byte order of the ids. */
  readonly vertices: readonly Vertex[];
  readonly #byId = new Map<string, Vertex>();

  constructor(graph: FlowGraph, now: number) {
    this.now = now;
    const { nodes } = graph;
    const clockOf = (node: FlowNode): number => knownUntil(graph.state.regions, node.region, now);
    const fine = satisfied(nodes.keys(), (id) => nodes.get(id), clockOf);
    const add = (id: string): Vertex => {
      const node = nodes.get(id);
      const some = node ?? { id, flowId: "", label: id, status: "" };
      const judgement = judgementOf(some), clock = clockOf(some), own = judgedAt(judgement, clock), isSatisfied = fine.has(id);
      const v: Vertex = {
        id, node, judgement, own, clock, region: some.region ?? "", label: some.label, isMember: node !== undefined && !graph.isContainer(id), isSatisfied,
        state: node === undefined ? undefined : isSatisfied && own.state === "waiting" ? "ready" : own.state,
        order: 0, needs: [], named: [], checks: [], isLost: false, waits: false, isStuck: false,
        blames: [], blamedBy: [], neededBy: [], isRoot: false, isOutdated: false,
      };
      this.#byId.set(id, v);
      return v;
    };
    const refs = (ids: readonly string[]): readonly Vertex[] => [...new Set(ids)].map((id) => this.#byId.get(id) ?? add(id));
    for (const v of refs([...nodes.keys()])) {
      const { source = "", named, checks } = v.judgement;
      v.needs = refs(graph.needs(v.node as FlowNode));
      v.named = refs(named);
      v.checks = refs(checks);
      if (nodes.has(source)) v.source = this.#byId.get(source);
    }
    this.vertices = [...this.#byId.values()].sort((a, b) => compareBytes(a.id, b.id));
    this.vertices.forEach((v, i) => (v.order = i));
    this.#findWaiting();
    this.#addCycles((v) => v.needs.filter((d) => d.waits && d.region === v.region), false);
    this.#addCycles((v) => v.needs.filter((d) => d.waits), true);
    this.#findBlame();
    for (const v of this.vertices) {
      if (v.state === "waiting" && v.own.class === REVISION) for (const d of v.named) d.isOutdated ||= d.node !== undefined && d.region === v.region;
    }
  }

  #findWaiting(): void {
    for (const v of this.vertices) {
      if (v.needs.length === 0) continue;
      const isAll = v.needs.every((d) => d.isSatisfied);
      v.isLost = v.state === "waiting" && v.needs.some((d) => d.node === undefined) && age(v) > GRACE_MS;
      v.waits = v.state === "waiting" ? !v.isLost : v.state === "not-started" && !v.judgement.isJudged && !isAll;
      v.isStuck = v.waits && isAll;
      if (v.isLost) v.state = "broken";
      if (v.waits) for (const d of v.needs) if (!d.isSatisfied) d.neededBy.push(v);
    }
  }

  #addCycles(next: (v: Vertex) => readonly Vertex[], isAcross: boolean): void {
    for (const members of componentsOf(this.vertices.filter((v) => v.waits), next)) {
      const first = members[0] as Vertex;
      if (isAcross ? members.every((m) => m.region === first.region) : members.length === 1 && !first.needs.includes(first)) continue;
      const cycle = { members, isAcross };
      for (const m of members) {
        if (m.cycle === undefined) m.cycle = cycle;
        else m.crosses = cycle;
      }
    }
  }

  #findBlame(): void {
    for (const v of this.vertices) {
      v.blames = blamed(v).filter((d) => d !== v && (v.cycle === undefined || d.cycle !== v.cycle));
      for (const d of v.blames) d.blamedBy.push(v);
      v.isRoot = !v.isSatisfied && (v.blames.length === 0 || v.cycle !== undefined);
    }
    // Of nodes that blame only each other, one is a root.
    const rooted = behind(this.vertices.filter((v) => v.isRoot));
    for (const each of componentsOf(this.vertices.filter((v) => !v.isSatisfied && !rooted.has(v)), (v) => v.blames)) {
      const set = new Set(each);
      if (each.some((v) => v.blames.some((d) => !set.has(d)))) continue;
      const root = each.find((v) => v.state === "broken" && v.own.problem) ?? each.find((v) => !v.waits) ?? (each[0] as Vertex);
      root.isRoot = true;
      root.blames = [];
    }
  }

  /** The state of a node and the class of its cause; undefined for an id without a node. */
  at(id: string): { readonly state: JudgedState; readonly reason: string } | undefined {
    const v = this.#byId.get(id);
    return v?.state === undefined ? undefined : { state: v.state, reason: v.isLost ? "dependency-missing" : v.own.class };
  }

  /**
   * The ids of the cycle of waiting nodes that a node is on, in byte order: a cycle within its region, otherwise one across regions. Empty
   * if there is none.
   */
  cycleOf(id: string): readonly string[] {
    return names(this.#byId.get(id)?.cycle?.members ?? []);
  }

  /** In byte order. */
  marks(id: string): readonly string[] {
    const v = this.#byId.get(id);
    if (v?.node === undefined) return NONE;
    const marks = new Set(v.own.marks);
    if (v.state === "ready" && v.source !== undefined && !v.source.isSatisfied && age(v.source) > GRACE_MS) marks.add("source-stale");
    if (v.isOutdated) marks.add("old-revision");
    return [...marks].sort(compareBytes);
  }

  /**
   * The ids that block a node that waits or lacks a need, in byte order: missing ids, cycle members and root causes. If all of its needs are
   * satisfied, those that its judgement names; if it names none, all needs. Empty for other nodes.
   */
  heldBy(id: string): readonly string[] {
    const v = this.#byId.get(id);
    if (v === undefined || (!v.waits && !v.isLost)) return NONE;
    if (v.isStuck) return names(v.named.length > 0 ? v.named : v.needs);
    return names(rootsBehind(v.needs.filter((d) => !d.isSatisfied), v));
  }

  /**
   * The nodes and missing ids that cause a node's state: the node itself, unless others do. In byte order; empty for a satisfied node.
   */
  roots(id: string): readonly string[] {
    const v = this.#byId.get(id);
    if (v?.node === undefined || v.isSatisfied) return NONE;
    return (v.waits && !v.isRoot) || v.cycle !== undefined ? this.heldBy(id) : names(rootsBehind([v]));
  }

  /** The needs of a node that waits or lacks one; of another node, the ids that it blames. */
  behind(id: string): readonly string[] {
    const v = this.#byId.get(id);
    return v === undefined ? NONE : (v.waits || v.isLost ? v.needs : v.blames).map((d) => d.id);
  }

  /** All problems, worst first. */
  problems(): readonly Root[] {
    const found = this.#findings();
    const steps = Math.max(LEAST_STEPS, Math.floor(STEPS / found.length));
    return found.map((root) => root(steps)).sort(worstFirst);
  }

  /** The root causes. Each is a function of the number of steps that its search may take. */
  #findings(): readonly ((steps: number) => Root)[] {
    const found: ((steps: number) => Root)[] = [], missing = new Map<string, Vertex[]>(), byRevision = new Map<Vertex, Vertex[]>(), cycles = new Map<Cycle, Vertex>();
    const add = (...cause: Cause): void => void found.push((steps) => this.#root(steps, ...cause));
    for (const v of this.vertices) {
      if (!v.isMember) continue;
      const { own, cycle } = v;
      if (v.isLost) push(missing, `${v.region.length} ${v.region}${missingNeed(v).id}`, v);
      else if (cycle !== undefined) cycles.set(cycle, cycles.get(cycle) ?? v);
      else if (v.isStuck && age(v, later(v)) > GRACE_MS) {
        const outdated = own.class === REVISION ? [...v.named, ...v.needs].find((d) => d.node !== undefined && d.region === v.region) : undefined;
        if (outdated !== undefined) push(byRevision, outdated, v);
        else add(v, later(v), own.marks.includes("ready-expr") ? "ready-expr" : "dependency-ready");
      } else if (v.state === "suspended") {
        if (!v.isSatisfied && v.blamedBy.length > 0) add(v, own.since, "suspended");
        else if (own.marks.includes("not-observed") && age(v) > GRACE_MS) add(v, own.since, "suspended-not-observed");
      } else if ((v.state === "broken" || v.state === "terminating") && own.problem && v.isRoot) add(v, own.since, v.judgement.isJudged || v.state === "broken" ? undefined : "terminating");
    }
    for (const others of missing.values()) add(others[0] as Vertex, extreme(others, Math.min), "dependency-missing", others);
    for (const [{ members, isAcross }, root] of cycles) add(root, extreme(members, Math.min), members.length === 1 ? "dependency-on-itself" : "dependency-cycle", members, isAcross);
    for (const [root, others] of byRevision) add(root, later(others[0] as Vertex), REVISION, others);
    return found;
  }

  #root(steps: number, root: Vertex, since: number | undefined, reason?: Reason, others: readonly Vertex[] = [], isAcross = false): Root {
    const isRevision = reason === REVISION;
    const ids = [root, ...victims(isRevision || others.length === 0 ? [root] : others, root, steps)];
    const own: Words = isOffered(root.own.command ?? NONE) ? root.own : { sentence: root.own.sentence };
    const words = reason === undefined ? own : this.#words(root, reason, others, isAcross);
    const { command = words.command } = reason === "suspended" ? own : words;
    return {
      id: root.id,
      ids: ids.map((v) => v.id),
      label: isAcross ? regionsOf(others).join(" and ") : root.label,
      region: isAcross ? "" : root.region,
      display: root.state as JudgedState,
      reason: reason ?? root.own.class,
      sentence: words.sentence,
      ...(command === undefined ? {} : { command }),
      ...(since === undefined ? {} : { since }),
      // Nodes that wait for another revision wait for the root, although it is satisfied.
      ...blocked(ids, isRevision ? others : [], steps),
      final: root.own.final || root.state === "suspended",
    };
  }

  #words(root: Vertex, reason: Reason, others: readonly Vertex[], isAcross: boolean): Words {
    const on = root.judgement.isJudged ? objectOf(root.region, root.id) : undefined;
    const values: Values = { name: root.label, namespace: on?.namespace, object: on?.name, ...kindOf(on?.kind) };
    if (isAcross) return wordsFor("dependency-cycle-across", { ...values, regions: `${regionsOf(others).length}`, edges: declared(others) });
    if (reason !== "dependency-missing") return wordsFor(reason, { ...values, names: labels(others.length > 0 ? others : root.named.length > 0 ? root.named : root.needs) });
    const missing = missingNeed(root).id;
    const object = root.judgement.isJudged ? objectOf(root.region, missing) : undefined;
    if (object === undefined) return wordsFor(reason, { ...values, missing });
    const { kind, namespace, name } = object;
    const otherKind = kind === "HelmRelease" ? "Kustomization" : "HelmRelease";
    const ids = kind === "HelmRelease" ? [`Kustomization/${namespace}/${name}`] : [`${namespace}/${name}`, ...(namespace === HOME ? [name] : [])];
    const isOther = ids.some((id) => this.#byId.get(`${root.region}/${id}`)?.node !== undefined);
    return wordsFor(isOther ? "dependency-missing-other-kind" : reason, {
      ...values, missing: `${kind} ${namespace}/${name}`, missingKind: kind, missingNamespace: namespace, missingName: name, missingResource: kindOf(kind)?.resource, otherKind,
    });
  }
}

/** The other nodes of a cause, and the nodes that blame the cause, directly or through others, and do not wait; in byte order of the ids. */
function victims(cause: readonly Vertex[], root: Vertex, steps: number): readonly Vertex[] {
  const own = new Set(cause), found: Vertex[] = [];
  // The search also starts at the other members of a cycle across regions, except those on a cycle within their own region.
  const starts = new Set([...cause, ...cause.flatMap(({ crosses }) => crosses?.members.filter((m) => m.cycle === crosses) ?? [])]);
  let left = steps;
  const reached = new Set(starts);
  for (const v of reached) {
    if (v !== root && v.isMember && (own.has(v) || !v.waits)) found.push(v);
    if (v.cycle !== undefined && !starts.has(v)) continue;
    for (const b of v.blamedBy) {
      if (--left < 0) break;
      reached.add(b);
    }
  }
  return found.sort(inOrder);
}

/**
 * The nodes that wait for `ids`, directly or through others: nearest first, at equal distance in byte order. Those in `nearest` count as
 * waiting directly.
 */
function blocked(ids: readonly Vertex[], nearest: readonly Vertex[], steps: number): Pick<Root, "blocks" | "blocksMore"> {
  const seen = new Set(ids), blocks: string[] = [];
  let left = steps;
  for (let level = ids, next = new Set(nearest); level.length > 0; next = new Set()) {
    for (const v of level) {
      for (const w of v.neededBy) {
        if (--left < 0) break;
        next.add(w);
      }
    }
    level = [...next].filter((w) => !seen.has(w)).sort(inOrder);
    for (const w of level) {
      seen.add(w);
      if (w.isMember) blocks.push(w.id);
    }
  }
  return left < 0 ? { blocks, blocksMore: true } : { blocks };
}

/** Worst first: broken nodes and cycles before all others, then those that block more, then the older ones. */
export function worstFirst(a: Rank, b: Rank): number {
  return (
    Number(isSevere(b)) - Number(isSevere(a)) ||
    b.blocks.length - a.blocks.length ||
    (a.since ?? 0) - (b.since ?? 0) ||
    compareBytes(a.id, b.id)
  );
}

interface Rank {
  readonly id: string;
  readonly display: string;
  readonly reason: string;
  readonly blocks: readonly string[];
  readonly since?: number;
}

function isSevere({ display, reason }: Rank): boolean {
  return display === "broken" || reason === "dependency-cycle" || reason === "dependency-on-itself";
}

/** The strongly connected components of some nodes, each in byte order. */
function componentsOf(nodes: readonly Vertex[], next: (v: Vertex) => readonly Vertex[]): readonly (readonly Vertex[])[] {
  return [...new Set(components(nodes, next).values())].map((members) => [...members].sort(inOrder));
}

function blamed(v: Vertex): readonly Vertex[] {
  if (v.waits) return v.needs.filter((d) => !d.isSatisfied);
  if (v.isLost || !BLAMES.has(v.state)) return [];
  const bad = v.checks.filter((c) => c !== v && !c.isSatisfied && TROUBLED.has(c.state));
  if (bad.length > 0 || !v.judgement.blamesSource || v.source === undefined || v.source.isSatisfied) return bad;
  return [v.source];
}

/** Some nodes, and all nodes that blame one of them, directly or through others, but not through a cycle. */
export function behind(starts: readonly Vertex[]): ReadonlySet<Vertex> {
  const given = new Set(starts), reached = new Set(starts);
  for (const v of reached) if (v.cycle === undefined || given.has(v)) for (const b of v.blamedBy) reached.add(b);
  return reached;
}

/** The roots among some nodes and those that they blame, directly or through others; without `except` unless it needs itself. */
function rootsBehind(from: readonly Vertex[], except?: Vertex): ReadonlySet<Vertex> {
  const roots = new Set<Vertex>(), visited = new Set<Cycle>(), seen = new Set(from);
  for (const v of seen) {
    const { cycle } = v;
    if (cycle === undefined) {
      if (v.isRoot) roots.add(v);
      else for (const d of v.blames) seen.add(d);
    } else if (!visited.has(cycle)) {
      visited.add(cycle);
      // Of a cycle across regions, members of the region of `except` do not block it.
      for (const m of cycle.members) if (!cycle.isAcross || m.region !== except?.region) roots.add(m);
    }
  }
  if (except !== undefined && except.cycle?.members.length !== 1) roots.delete(except);
  return roots;
}

function inOrder(a: Vertex, b: Vertex): number {
  return a.order - b.order;
}

export function names(list: Iterable<Vertex>): readonly string[] {
  return [...list].sort(inOrder).map((v) => v.id);
}

/** How long ago an instant was by a node's clock. NaN if unknown: comparisons with it are false. */
export function age(v: Vertex, since = v.own.since): number {
  return v.clock - (since ?? NaN);
}

/** When the last need became ready, or when the node started to wait, whichever is later. */
export function later(v: Vertex): number | undefined {
  return extreme([v, ...v.needs], Math.max);
}

function extreme(list: readonly Vertex[], of: (a: number, b: number) => number): number | undefined {
  return list.reduce((found: number | undefined, { own: { since } }) => (found === undefined ? since : of(found, since ?? found)), undefined);
}

/** The first need that does not exist, named needs first. */
function missingNeed(v: Vertex): Vertex {
  return [...v.named, ...v.needs].find((d) => d.node === undefined && v.needs.includes(d)) as Vertex;
}

interface Words {
  readonly sentence: string;
  readonly command?: readonly string[];
}

type Values = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The sentence of a class, and its command unless a value in that is unknown or starts with a hyphen. */
function wordsFor(name: Reason, values: Values): Words {
  const { sentence: text, command: parts }: { sentence: string; command?: readonly string[] } = SENTENCES.classes[name];
  const sentence = text.replace(/\{(\w+)\}/g, (_, key: string) => `${values[key] ?? ""}`);
  const filled = parts?.map((part) => (part.startsWith("{") ? [values[part.slice(1, -1)] ?? ""].flat() : part));
  const isWhole = filled?.every((part) => typeof part === "string" || part.every((value) => value !== "" && !value.startsWith("-")));
  return filled !== undefined && isWhole === true ? { sentence, command: filled.flat() } : { sentence };
}

/** The names of a kind in commands. */
function kindOf(kind = ""): { readonly resource: string; readonly flux: readonly string[] } | undefined {
  return Object.hasOwn(SENTENCES.kinds, kind) ? SENTENCES.kinds[kind as keyof typeof SENTENCES.kinds] : undefined;
}

function regionsOf(list: readonly Vertex[]): readonly string[] {
  return [...new Set(list.map((v) => v.region || "no region"))].sort(compareBytes);
}

/** Describes the edges between the regions of a cycle, since it is unknown which one closed it. */
function declared(members: readonly Vertex[]): string {
  const on = new Set(members);
  const all = members.flatMap((v) => v.needs.filter((d) => on.has(d) && d.region !== v.region).map((d) => `${short(v.region || "no region")} declares that ${short(v.label)} waits for ${short(d.label)}`));
  const more = all.length > NAMED_EDGES ? `, and ${all.length - NAMED_EDGES} more` : "";
  return all.slice(0, NAMED_EDGES).join(", ") + more;
}

function labels(list: readonly Vertex[]): string {
  const more = list.length > NAMED_NODES ? ` and ${list.length - NAMED_NODES} more` : "";
  return [...list].sort(inOrder).slice(0, NAMED_NODES).map((v) => short(v.label)).join(", ") + more;
}

/** Cuts a name for a sentence with several names. Names in a cluster are shorter. */
const short = (name: string): string => name.slice(0, NAME);
