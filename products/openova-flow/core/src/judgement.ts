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

export const JUDGED_STATES = ["ready", "working", "waiting", "broken", "suspended", "terminating", "not-started"] as const;
export type JudgedState = (typeof JUDGED_STATES)[number];

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
      return turn !== undefined && typeof at === "number" && isState(turn["state"]) ? [{ ...judged(turn), at }] : [];
    }),
    needs: strings(sent["needs"]),
    named: strings(sent["named"]),
    readyWhile: strings(sent["readyWhile"]),
    checks: strings(sent["checks"]),
    ...optional("source", sent["source"], "string"),
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
    ...optional("since", sent["since"], "number"),
    ...optional("attempts", sent["attempts"], "number"),
    ...optional("of", sent["of"], "number"),
    ...optional("nextTry", sent["nextTry"], "number"),
    ...optional("limit", sent["limit"], "number"),
    problem: sent["problem"] === true,
    final: sent["final"] === true,
    ...(gate === "pass" || gate === "wait" ? { gate } : {}),
  };
}

/** What the status of a node says where no adapter judged it. */
function obvious(node: FlowNode): Judgement {
  const meta: NodeMeta = node.meta ?? {};
  const { status, label } = node;
  const isOver = status === "succeeded" || status === "failed";
  const waitingFor = strings(meta["waitingFor"]);
  const reason = text(meta["reason"]);
  const since = node.endedAt ?? number(meta["reasonSince"]) ?? node.startedAt;
  const base = { marks: [], problem: false, final: false, class: reason || status, sentence: said(node, reason, text(meta["message"])), ...optional("since", since, "number") };
  const refs = { then: [], needs: [], named: [], readyWhile: [], checks: [], blamesSource: false, isJudged: false };
  const deleting = number(meta["deletingSince"]);
  if (deleting !== undefined) {
    const going: Judged = { ...base, state: "terminating", since: deleting, sentence: `${label} is being deleted.`, gate: "wait" };
    const { gate: _, ...stuck } = going;
    const held = strings(meta["finalizers"]);
    const sentence = `${label} has been going away for over five minutes${held.length > 0 ? `, held by ${held.join(", ")}` : ""}.`;
    return { ...going, ...refs, then: [{ ...stuck, at: deleting + STUCK_AFTER_MS + 1, problem: true, class: "deletion-stuck", sentence }] };
  }
  if (status === "failed") return { ...base, ...refs, state: "broken", problem: true };
  if (meta["suspended"] === true) return { ...base, ...refs, state: "suspended", sentence: `${label} is suspended.`, command: ["flux", "resume", (text(meta["kind"]) || "HelmRelease").toLowerCase(), label, "-n", text(meta["namespace"]) || "flux-system"], ...(status === "succeeded" ? { gate: "pass" } : {}) };
  if (!isOver && (reason === "DependencyNotReady" || waitingFor.length > 0)) {
    const since = number(meta["waitingSince"]) ?? number(meta["reasonSince"]);
    return { ...base, ...refs, state: "waiting", needs: waitingFor, named: waitingFor, ...optional("since", since, "number") };
  }
  if (status === "succeeded") return { ...base, ...refs, state: "ready", gate: "pass" };
  return { ...base, ...refs, state: status === "pending" ? "not-started" : "working", gate: "wait" };
}

function said(node: FlowNode, reason: string, message: string): string {
  const words = [reason, message].filter((s) => s !== "");
  return words.length === 0 ? `${node.label} ${node.status === "failed" ? "failed" : `is ${node.status}`}.` : `${node.label}: ${words.join(": ")}`;
}

type Fields = Readonly<Record<string, unknown>>;

function fields(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

function isState(value: unknown): value is JudgedState {
  return (JUDGED_STATES as readonly unknown[]).includes(value);
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.slice(0, MOST_REFS).filter((v) => typeof v === "string") : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function optional<K extends string, T extends "string" | "number">(key: K, value: unknown, type: T): { readonly [P in K]?: T extends "string" ? string : number } {
  return (typeof value === type ? { [key]: value } : {}) as { readonly [P in K]?: T extends "string" ? string : number };
}
