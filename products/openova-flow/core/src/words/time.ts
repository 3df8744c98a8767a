/** How long something usually takes, in milliseconds. */
export interface Usual {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** `usually 40s (31s to 1m 02s)`: with the range, if it is a second or more. */
export function usually({ median, least, most }: Usual): string {
  return `usually ${duration(median)}${most - least < 1000 ? "" : ` (${duration(least)} to ${duration(most)})`}`;
}

/** A duration in at most two units, rounded down: `8s`, `2m 10s`, `3h 05m`, `4d 6h`. Negative durations are 0. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number): string => String(n).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3600)}h`;
}
