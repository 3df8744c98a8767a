import type { DisplayState, Progress } from "@openova/flow-core";

/** Words for display states. */
export const WORDS: Readonly<Record<DisplayState, string>> = {
  ready: "ready",
  working: "working",
  waiting: "waiting",
  broken: "broken",
  suspended: "suspended",
  terminating: "being deleted",
  "not-started": "not started",
  unconfirmed: "unconfirmed",
};

/** Two parts at most: 8s, 2m 10s, 1h 05m, 3d 4h. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  const two = (n: number): string => String(n).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3600)}h`;
}

export function ago(ms: number, now: number): string {
  const d = now - ms;
  return d < 1500 ? "just now" : `${duration(d)} ago`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const year = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

/** With the day, unless that is the day of `now`. Never throws: what no date can be is said to be none. */
export function dateTime(ms: number, now: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "no date";
  const today = new Date(now);
  if (date.toDateString() === today.toDateString()) return clock.format(ms);
  return `${(date.getFullYear() === today.getFullYear() ? day : year).format(ms)} ${clock.format(ms)}`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en-GB")} ${n === 1 ? one : many}`;
}

/** A whole per cent that says 0 and 100 only when that is so. */
export function percent(fraction: number): string {
  if (fraction <= 0) return "0%";
  if (fraction >= 1) return "100%";
  return `${Math.min(99, Math.max(1, Math.round(fraction * 100)))}%`;
}

/** How much is done: never 100% while anything is not. */
export function share(progress: Progress): string {
  return percent(progress.complete ? 1 : Math.min(progress.fraction, 0.99));
}

/** The last part of an id, for what is not there to tell its label. */
export function shortId(id: string): string {
  return id.slice(id.lastIndexOf("/") + 1) || id;
}

/** The class of a problem as words. */
export const words = (name: string): string => name.replaceAll("-", " ");
