import { push } from "./adjacency.js";
import type { FlowNode, NodeMeta } from "./types.js";

/** What an object is by itself at an instant, as `docs/meta.md` has it. */
export interface Judged {
  readonly state: JudgedState;
  readonly marks: readonly string[];
  /** Since when this state with this cause holds. */
  readonly since?: number;
  /** Stable, for programs. */
  readonly class: string;
  readonly sentence: string;
  readonly command?: readonly string[];
  readonly attempts?: number;
  readonly of?: number;
  readonly nextTry?: number;
  /** Milliseconds. */
  readonly limit?: number;
  /** A root cause by itself, unless another node turns out to be its cause. */
  readonly problem: boolean;
  /** Nothing changes without a person. */
  readonly final: boolean;
  /** `pass`: as it should be; `wait`: something goes on by itself. */
  readonly gate?: "pass" | "wait";
}

/** Worst first. */
export const DISPLAY_STATES = ["broken", "terminating", "waiting", "working", "not-started", "suspended", "unconfirmed", "ready"] as const;
/** What a person sees: computed from wire status and meta. */
export type DisplayState = (typeof DISPLAY_STATES)[number];
/** What can be judged; whether it is confirmed the stream tells. */
export type JudgedState = Exclude<DisplayState, "unconfirmed">;

/** The judgement of a node: what it is, what becomes of it by itself, and the nodes that it refers to. */
export interface Judgement extends Judged {
  /** In time order; each holds from `at` on. */
  readonly then: readonly (Judged & { readonly at: number })[];
  readonly needs: readonly string[];
  readonly named: readonly string[];
  readonly readyWhile: readonly string[];
  readonly checks: readonly string[];
  readonly source?: string;
  readonly blamesSource: boolean;
  /** False for a node of an emitter that does not judge: then the edges say what it waits for. */
  readonly isJudged: boolean;
}

/** How long what passes by itself may last, in milliseconds. */
export const GRACE_MS = 60_000;
/** How long a deletion may take before it counts as stuck. */
const STUCK_AFTER_MS = 300_000;
/** More instants than any adapter sends. */
const MOST_TURNS = 16;
/** More ids than any adapter names in a list. */
const MOST_REFS = 256;
const NUMBERS = ["since", "attempts", "of", "nextTry", "limit"] as const;
const NONE: readonly string[] = [];

const cache = new WeakMap<FlowNode, Judgement>();

/** The judgement of a node; the obvious one of its status where its emitter sent none. The same object for the same node. */
export function judgementOf(node: FlowNode): Judgement {
  let read = cache.get(node);
  if (read === undefined) {
    const sent = fields(node.meta?.["judgement"]);
    read = sent === undefined || !isState(sent["state"]) ? obvious(node) : whole(sent);
    cache.set(node, read);
  }
  return read;
}

/** What holds of a judgement at an instant. */
export function judgedAt(judgement: Judgement, now: number): Judged {
  for (let i = judgement.then.length - 1; i >= 0; i--) {
    const turn = judgement.then[i] as Judged & { readonly at: number };
    if (turn.at <= now) return turn;
  }
  return judgement;
}

/** The next instant after `now` at which a judgement changes by itself; Infinity if none does. */
export function nextTurn(judgement: Judgement, now: number): number {
  return judgement.then.find((t) => t.at > now)?.at ?? Infinity;
}

function whole(sent: Fields): Judgement {
  const then = Array.isArray(sent["then"]) ? sent["then"].slice(0, MOST_TURNS) : [];
  return {
    ...judged(sent),
    then: then.flatMap((t: unknown) => {
      const turn = fields(t);
      const at = turn?.["at"];
      return turn !== undefined && isInstant(at) && isState(turn["state"]) ? [{ ...judged(turn), at }] : [];
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

function judged(sent: Fields): Judged {
  const cause = fields(sent["cause"]) ?? {};
  const gate = sent["gate"];
  const command = strings(sent["command"]);
  return {
    state: sent["state"] as JudgedState,
    marks: strings(sent["marks"]),
    class: text(cause["class"]),
    sentence: text(cause["sentence"]),
    ...(command.length === 0 ? {} : { command }),
    ...Object.fromEntries(NUMBERS.flatMap((key) => (isInstant(sent[key]) ? [[key, sent[key]]] : []))),
    problem: sent["problem"] === true,
    final: sent["final"] === true,
    ...(gate === "pass" || gate === "wait" ? { gate } : {}),
  };
}

/** What the status of a node says where no adapter judged it. */
function obvious(node: FlowNode): Judgement {
  const meta: NodeMeta = node.meta ?? {};
  const { status, label } = node;
  const time = (key: string): number | undefined => (isInstant(meta[key]) ? meta[key] : undefined);
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

function failure(label: string, ...said: readonly string[]): string {
  const words = said.filter((s) => s !== "");
  return words.length === 0 ? `${label} failed.` : [label, ...words].join(": ");
}

/** Whether nobody has to wait for what is so: it is ready, or suspended as it should be. */
function isSatisfied(is: Judged): boolean {
  return is.state === "ready" || (is.state === "suspended" && is.gate === "pass" && !is.marks.includes("not-observed") && !is.marks.includes("old-revision"));
}

/**
 * Which of some nodes, and of those that they are ready with, nobody has to wait for. One that waits is among them while all of its `readyWhile` are: it only
 * takes a routine look.
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

/** A whole number that is as exact here as in any other language. */
function isInstant(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
