import { readFileSync } from "node:fs";
import type { Server } from "./server.ts";

export type Recording = "kit-fsn1" | "kit-hel1" | "scenarios" | "real-d-kustomizations";

interface Event {
  /** Milliseconds since the recording began. */
  readonly t: number;
  readonly began: number;
  readonly message: unknown;
}

/** The adapter's messages for recordings of real controllers, merged by time. */
function read(names: readonly Recording[], flow: string): readonly Event[] {
  const all = names.flatMap((name) => {
    const file = new URL(`../../../adapter-flux/testdata/golden/${name}.events.jsonl`, import.meta.url);
    const text = readFileSync(file, "utf8").replaceAll('"flowId":"bootstrap"', `"flowId":"${flow}"`);
    const lines = text.trim().split("\n").map((l) => JSON.parse(l) as { at: number; message: unknown });
    const began = lines[0]?.at ?? 0;
    return lines.map(({ at, message }) => ({ t: at - began, began, message }));
  });
  return all.sort((a, b) => a.t - b.t);
}

const TIMES: ReadonlySet<string> = new Set(["startedAt", "endedAt", "reasonSince", "waitingSince", "deletingSince", "readySince", "updatedAt", "changedSince", "behindSince", "since", "at", "nextTry"]);

function shifted(value: unknown, by: number): unknown {
  if (Array.isArray(value)) return value.map((v) => shifted(v, by));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, TIMES.has(k) && typeof v === "number" ? v + by : shifted(v, by)]));
}

export interface ReplayOptions {
  readonly flow?: string;
  /** Only messages up to this time, in milliseconds of the recording. */
  readonly until?: number;
  /** Only messages after this time. */
  readonly after?: number;
  /** The time to which `until`, or else the last message, is shifted, in milliseconds since 1970; default: now. */
  readonly endsAt?: number;
}

/** Posts recordings at once, with shifted times. Returns the shifted start. */
export async function replay(server: Server, names: readonly Recording[], options: ReplayOptions = {}): Promise<number> {
  const flow = options.flow ?? "bootstrap";
  const all = read(names, flow);
  const until = options.until ?? all.at(-1)?.t ?? 0;
  const began = (options.endsAt ?? Date.now()) - until;
  const lines = all
    .filter((e) => e.t <= until && e.t > (options.after ?? -1))
    .map((e) => JSON.stringify(shifted(e.message, began - e.began)));
  for (let i = 0; i < lines.length; i += 200) await server.post(flow, lines.slice(i, i + 200));
  return began;
}
