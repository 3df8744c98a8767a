import { duration, STATE_WORDS as WORDS, type Progress } from "@openova/flow-core";

export { duration, WORDS };

export function ago(ms: number, now: number): string {
  const d = now - ms;
  return d < 1500 ? "just now" : `${duration(d)} ago`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const year = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

const zoned = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" });

/** The name of the user's time zone at an instant: it differs between winter and summer. Empty for an invalid date. */
export function zone(ms: number): string {
  if (Number.isNaN(new Date(ms).getTime())) return "";
  return zoned.formatToParts(ms).find((p) => p.type === "timeZoneName")?.value ?? "";
}

/** With the day, unless it is the day of `now`. Returns "no date" for an invalid date. */
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

/** A whole percentage; 0 and 100 only if exact. */
export function percent(fraction: number): string {
  if (fraction <= 0) return "0%";
  if (fraction >= 1) return "100%";
  return `${Math.min(99, Math.max(1, Math.round(fraction * 100)))}%`;
}

/** The share that is done; below 100% while incomplete. */
export function share(progress: Progress): string {
  return percent(progress.complete ? 1 : Math.min(progress.fraction, 0.99));
}

export const words = (name: string): string => name.replaceAll("-", " ");
