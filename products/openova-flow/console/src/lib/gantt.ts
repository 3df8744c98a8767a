import type { DisplayState, RolloutMember, Usual } from "@openova/flow-core";
import type { Runs, Span, WorkSpan } from "./runs.js";

/** The bar of a release. Times are Unix milliseconds. */
export interface Bar {
  readonly id: string;
  readonly name: string;
  readonly region: string;
  readonly display: DisplayState | null;
  readonly waiting: readonly Span[];
  readonly working: readonly WorkSpan[];
  readonly begin: number;
  readonly end: number;
  readonly usual?: Usual;
}
export interface Scale {
  readonly from: number;
  readonly to: number;
  readonly width: number;
}
export interface Period {
  readonly from: number;
  readonly to: number;
}

/** The bar of a member, from the log as far as it reaches, otherwise from the rollout. Null if nothing of it is within the period. */
export function toBar(member: RolloutMember, known: Runs | undefined, display: DisplayState | null, period: Period, name: string): Bar | null {
  const within = (s: Span): boolean => s.to >= period.from - SLACK_MS && s.from <= period.to;
  let working = (known?.working ?? []).filter(within).map((s) => ({ ...s, to: Math.min(s.to, period.to) }));
  let waiting = (known?.waiting ?? []).filter(within).map((s) => ({ from: s.from, to: Math.min(s.to, period.to) }));
  const { startedAt, endedAt, waitingSince } = member;
  if (startedAt !== undefined && startedAt <= period.to && !working.some((s) => s.from === startedAt)) {
    const to = Math.min(endedAt ?? period.to, period.to);
    working = [...working, { from: startedAt, to, isOpen: endedAt === undefined || endedAt > period.to, hasFailed: member.status === "failed" }].sort(byBegin);
  }
  if (waitingSince !== undefined && waitingSince <= period.to && waiting.length === 0) {
    // It waited until its first run.
    const until = working.find((s) => s.from >= waitingSince)?.from ?? (display === "waiting" ? period.to : waitingSince);
    if (until > waitingSince) waiting = [{ from: waitingSince, to: until }];
  }
  const spans = [...waiting, ...working];
  if (spans.length === 0) return null;
  return {
    id: member.id,
    name,
    region: member.region ?? "",
    display,
    waiting,
    working,
    begin: spans.reduce((first, s) => Math.min(first, s.from), Infinity),
    end: spans.reduce((last, s) => Math.max(last, s.to), -Infinity),
  };
}

/** A span that ends at most this long before the period belongs to it. */
const SLACK_MS = 1000;

function byBegin(a: Span, b: Span): number {
  return a.from - b.from;
}

/** The states of the first bars, in this order. */
const URGENT: readonly (DisplayState | null)[] = ["broken", "terminating", "working"];

function urgency(b: Bar): number {
  const at = URGENT.indexOf(b.display);
  return at < 0 ? URGENT.length : at;
}

/** By urgency, then by the start of the first run; bars without a run after those with one. */
export function inOrder(bars: readonly Bar[]): readonly Bar[] {
  const work = (b: Bar): number => b.working[0]?.from ?? Infinity;
  return [...bars].sort((a, b) => {
    const urgent = urgency(a) - urgency(b);
    if (urgent !== 0) return urgent;
    const x = work(a);
    const y = work(b);
    return x === y ? a.begin - b.begin || (a.id < b.id ? -1 : 1) : x < y ? -1 : 1;
  });
}

/** A line of the timeline: the header of a group, or a bar. */
export type Line = { readonly key: string; readonly group: string; readonly size: number } | { readonly key: string; readonly bar: Bar };

/** The bars below the headers of their groups, which are in the order of their first bars. A single group has no header. */
export function grouped(bars: readonly Bar[], groupOf: (bar: Bar) => string): readonly Line[] {
  const groups = new Map<string, Bar[]>();
  for (const bar of bars) {
    const group = groupOf(bar);
    const list = groups.get(group);
    if (list === undefined) groups.set(group, [bar]);
    else list.push(bar);
  }
  return [...groups].flatMap(([group, list]): Line[] => [
    ...(groups.size > 1 ? [{ key: `group ${group}`, group, size: list.length }] : []),
    ...list.map((bar) => ({ key: bar.id, bar })),
  ]);
}

/** `part`, made `factor` times as long around `at`: within `whole`, but at least a second long. */
export function zoomed(whole: Period, part: Period, factor: number, at: number): Period {
  const length = Math.max(1000, Math.min(whole.to - whole.from, (part.to - part.from) * factor));
  const share = (at - part.from) / Math.max(1, part.to - part.from);
  const from = Math.max(whole.from, Math.min(whole.to - length, at - share * length));
  return { from, to: from + length };
}

export function total(spans: readonly Span[]): number {
  return spans.reduce((sum, s) => sum + s.to - s.from, 0);
}

export function x(scale: Scale, at: number): number {
  return scale.to === scale.from ? 0 : ((at - scale.from) / (scale.to - scale.from)) * scale.width;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400].map((s) => s * 1000);

/** At most 200 instants for the axis, from its start, at least `room` pixels apart. */
export function ticks(scale: Scale, room = 130): readonly number[] {
  const least = ((scale.to - scale.from) / Math.max(1, scale.width)) * room;
  const day = STEPS[STEPS.length - 1] as number;
  const step = STEPS.find((s) => s >= least) ?? Math.ceil(least / day) * day;
  const out: number[] = [];
  for (let at = scale.from; at <= scale.to && out.length < 200; at += step) out.push(at);
  return out;
}
