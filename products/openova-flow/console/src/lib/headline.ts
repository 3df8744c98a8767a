import type { Progress, Rollout, RolloutProgress } from "@openova/flow-core";
import { ago, dateTime, duration, plural, share } from "./format.js";

export interface Headline {
  /** The ready share of the flow; below 100% while anything is not ready. */
  readonly percent: string;
  readonly done: string;
  readonly tone: "good" | "plain";
  /** The number of Kustomizations that are not ready; empty if all are. */
  readonly but: string;
  /** A rollout counts its own releases only. */
  readonly rollout: RolloutLine | null;
}
export interface RolloutLine {
  /** `2/3` */
  readonly done: string;
  /** Its state, or how it ended. */
  readonly outcome: string;
  readonly tone: "running" | "good" | "bad";
  /** How long it took, or the elapsed and remaining time. */
  readonly time: string;
}

const ENDED = { succeeded: ["complete", "good"], failed: ["failed", "bad"], incomplete: ["incomplete", "bad"], running: ["", "running"] } as const;

export function headline(whole: Progress, current: { readonly rollout: Rollout; readonly progress: RolloutProgress } | null, now: number): Headline {
  const { total, done, complete, kustomizationsNotReady } = whole;
  return {
    percent: total === 0 ? "–" : share(whole),
    done: `${done}/${total} ready`,
    tone: complete ? "good" : "plain",
    but: kustomizationsNotReady > 0 ? `${plural(kustomizationsNotReady, "Kustomization")} not ready` : "",
    rollout: current === null ? null : rolloutLine(current.rollout, current.progress, now),
  };
}

export function rolloutLine(rollout: Rollout, p: RolloutProgress, now: number): RolloutLine {
  const took = duration(p.elapsedMs);
  const done = `${p.done}/${p.total}`;
  if (p.endedAt !== undefined) {
    const [outcome, tone] = ENDED[rollout.outcome] ?? ENDED.incomplete;
    return { done, outcome, tone, time: `took ${took}, ended ${now - p.endedAt < 86_400_000 ? ago(p.endedAt, now) : dateTime(p.endedAt, now)}` };
  }
  // The rollout ends a minute after its last release is ready, in case more releases start.
  if (p.complete) return { done, outcome: "all ready", tone: "good", time: `after ${took}` };
  const left = p.etaAt === undefined ? "" : `, about ${duration(Math.max(1000, p.etaAt - now))} left`;
  return { done, outcome: "rolling out", tone: "running", time: `${duration(Math.max(0, now - p.startedAt))}${left}` };
}
