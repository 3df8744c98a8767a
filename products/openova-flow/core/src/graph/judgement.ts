import { push } from "./adjacency.js";
import type { FlowNode, NodeMeta } from "../contract/types.js";

/** The state of an object by itself at an instant, as defined in `docs/meta.md`. */
export interface Judged {
  readonly state: JudgedState;
  readonly marks: readonly string[];
  /** Start of this state with this cause. */
  readonly since?: number;
  /** The class of the cause: stable, for programs. */
  readonly class: string;
  readonly sentence: string;
  /** A retry cannot succeed unless manifest, chart or values change. */
  readonly inGit?: true;
  readonly command?: readonly string[];
  readonly attempts?: number;
  readonly of?: number;
  readonly nextTry?: number;
  /** Milliseconds. */
  readonly limit?: number;
  /** Whether it is a problem, unless the node blames another node for it. */
  readonly problem: boolean;
  /** Does not change without a person. */
  readonly final: boolean;
  /** `pass`: a gate need not wait for the node. `wait`: it may still change by itself. */
  readonly gate?: "pass" | "wait";
}

/** Worst first. */
export const DISPLAY_STATES = ["broken", "terminating", "waiting", "working", "not-started", "suspended", "unconfirmed", "ready"] as const;
/** The state that a person sees. */
export type DisplayState = (typeof DISPLAY_STATES)[number];
/** The display states without `unconfirmed`, which comes from the stream. */
export type JudgedState = Exclude<DisplayState, "unconfirmed">;

/** The judgement of a node: its state, its later states if no event comes, and the nodes that it names. */
export interface Judgement extends Judged {
  /** In time order. Each holds from `at` on. */
  readonly then: readonly (Judged & { readonly at: number })[];
  readonly needs: readonly string[];
  readonly named: readonly string[];
  readonly readyWhile: readonly string[];
  readonly checks: readonly string[];
  readonly source?: string;
  readonly blamesSource: boolean;
  /** False if the emitter sent no valid judgement. */
  readonly isJudged: boolean;
}

/** How long transient states of a healthy flow may last before they are a problem, in milliseconds. */
export const GRACE_MS = 60_000;
/** How long a deletion may take before it is a problem, in milliseconds. */
const STUCK_AFTER_MS = 300_000;
/** Maximum length of `then`; no adapter sends more. */
const MOST_TURNS = 16;
/** Maximum number of ids in a list; no adapter sends more. */
const MOST_REFS = 256;
const NUMBERS = ["since", "attempts", "of", "nextTry", "limit"] as const;
const NONE: readonly string[] = [];

const cache = new WeakMap<FlowNode, Judgement>();

/** The judgement of a node, or one made from its status if its emitter sent no valid one. The result is cached for each node object. */
export function judgementOf(node: FlowNode): Judgement {
  let read = cache.get(node);
  if (read === undefined) {
    const sent = fields(node.meta?.["judgement"]);
    read = sent === undefined || !isState(sent["state"]) ? fromStatus(node) : parse(sent);
    cache.set(node, read);
  }
  return read;
}

/** The part of a judgement that holds at an instant. */
export function judgedAt(judgement: Judgement, now: number): Judged {
  for (let i = judgement.then.length - 1; i >= 0; i--) {
    const turn = judgement.then[i] as Judged & { readonly at: number };
    if (turn.at <= now) return turn;
  }
  return judgement;
}

/** The next instant after `now` at which a judgement changes; Infinity if there is none. */
export function nextTurn(judgement: Judgement, now: number): number {
  return judgement.then.find((t) => t.at > now)?.at ?? Infinity;
}

function parse(sent: Fields): Judgement {
  const then = Array.isArray(sent["then"]) ? sent["then"].slice(0, MOST_TURNS) : [];
  return {
    ...parseJudged(sent),
    then: then.flatMap((t: unknown) => {
      const turn = fields(t);
      const at = turn?.["at"];
      return turn !== undefined && isInteger(at) && isState(turn["state"]) ? [{ ...parseJudged(turn), at }] : [];
    }),
    needs: strings(sent["needs"]),
    named: strings(sent["named"]),
    readyWhile: strings(sent["readyWhile"]),
    checks: strings(sent["checks"]),
    ...(typeof sent["source"] === "string" ? { source: sent["source"] } : {}),
    blamesSource: sent["blamesSource"] === true,
    isJudged: true,
  };
}

function parseJudged(sent: Fields): Judged {
  const cause = fields(sent["cause"]) ?? {};
  const gate = sent["gate"];
  const command = strings(sent["command"]);
  return {
    state: sent["state"] as JudgedState,
    marks: strings(sent["marks"]),
    class: text(cause["class"]),
    sentence: text(cause["sentence"]),
    ...(cause["inGit"] === true ? { inGit: true } : {}),
    ...(command.length === 0 ? {} : { command }),
    ...Object.fromEntries(NUMBERS.flatMap((key) => (isInteger(sent[key]) ? [[key, sent[key]]] : []))),
    problem: sent["problem"] === true,
    final: sent["final"] === true,
    ...(gate === "pass" || gate === "wait" ? { gate } : {}),
  };
}

function fromStatus(node: FlowNode): Judgement {
  const meta: NodeMeta = node.meta ?? {};
  const { status, label } = node;
  const time = (key: string): number | undefined => (isInteger(meta[key]) ? meta[key] : undefined);
  const is = (state: JudgedState, since: number | undefined, rest: Partial<Judgement>): Judgement => ({
    state, marks: NONE, class: "", sentence: "", problem: false, final: false, then: [], needs: NONE, named: NONE, readyWhile: NONE, checks: NONE, blamesSource: false, isJudged: false,
    ...(since === undefined ? {} : { since }), ...rest,
  });
  const waitingFor = strings(meta["waitingFor"]);
  const reason = text(meta["reason"]);
  const deleting = time("deletingSince");
  if (deleting !== undefined) {
    const late = { ...is("terminating", deleting, { class: "terminating", problem: true }), at: deleting + STUCK_AFTER_MS + 1 };
    return is("terminating", deleting, { class: "terminating", gate: "wait", then: [late] });
  }
  if (status === "failed") return is("broken", node.endedAt, { class: "failed", problem: true, sentence: failure(label, reason, text(meta["message"])) });
  if (meta["suspended"] === true) return is("suspended", undefined, { class: "suspended", ...(status === "succeeded" ? { gate: "pass" } : {}) });
  if (status === "succeeded") return is("ready", node.endedAt, { gate: "pass" });
  if (reason === "DependencyNotReady" || waitingFor.length > 0) return is("waiting", time("waitingSince") ?? time("reasonSince"), { gate: "wait", needs: waitingFor, named: waitingFor });
  return status === "pending" ? is("not-started", undefined, { gate: "wait" }) : is("working", node.startedAt, { gate: "wait" });
}

function failure(label: string, ...details: readonly string[]): string {
  const words = details.filter((s) => s !== "");
  return words.length === 0 ? `${label} failed.` : [label, ...words].join(": ");
}

/** Whether dependents need not wait: the node is ready, or suspended with gate `pass` and up to date. */
function isSatisfied(is: Judged): boolean {
  return is.state === "ready" || (is.state === "suspended" && is.gate === "pass" && !is.marks.includes("not-observed") && !is.marks.includes("old-revision"));
}

/**
 * The satisfied nodes among `ids` and their `readyWhile`: those whose dependents need not wait for them. A waiting node with `readyWhile` is
 * satisfied while all of these are.
 */
export function satisfied(ids: Iterable<string>, nodeOf: (id: string) => FlowNode | undefined, clockOf: (node: FlowNode) => number): ReadonlySet<string> {
  const left = new Map<string, number>(), wanted = new Map<string, string[]>();
  const seen = new Set(ids), found = new Set<string>();
  for (const id of seen) {
    const node = nodeOf(id);
    if (node === undefined) continue;
    const judgement = judgementOf(node);
    const own = judgedAt(judgement, clockOf(node));
    const readyWhile = new Set(own.state === "waiting" ? judgement.readyWhile : NONE);
    if (isSatisfied(own)) found.add(id);
    left.set(id, readyWhile.size);
    for (const other of readyWhile) {
      seen.add(other);
      push(wanted, other, id);
    }
  }
  for (const id of found) {
    for (const by of wanted.get(id) ?? NONE) {
      const n = (left.get(by) as number) - 1;
      left.set(by, n);
      if (n === 0) found.add(by);
    }
  }
  return found;
}

export type Fields = Readonly<Record<string, unknown>>;

/** The value if it is an object. */
export function fields(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

function isState(value: unknown): value is JudgedState {
  return value !== "unconfirmed" && (DISPLAY_STATES as readonly unknown[]).includes(value);
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.slice(0, MOST_REFS).filter((v) => typeof v === "string") : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Whether a value is an integer that a double holds exactly. */
function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
