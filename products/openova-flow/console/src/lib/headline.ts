import type { Progress, Rollout, RolloutProgress } from "@openova/flow-core";
import { ago, dateTime, duration, plural, share } from "./format.js";

export interface Headline {
  /** The share that is done: never 100% while anything is not. */
  readonly percent: string;
  readonly done: string;
  /** In which way it runs, or how it ended. */
  readonly outcome: string;
  readonly tone: "running" | "good" | "bad" | "plain";
  /** Elapsed time and what is left, for a rollout. */
  readonly time: string;
  /** What keeps all that is ready from being complete. */
  readonly but: string;
}

/** What the header says of a rollout, or of a whole flow that has had none. */
export function headline(whole: Progress, rollout: { readonly it: Rollout; readonly progress: RolloutProgress } | null, now: number): Headline {
  const p = rollout?.progress ?? whole;
  const kustomizations = p.kustomizationsNotReady;
  const but = kustomizations > 0 ? `${plural(kustomizations, "Kustomization")} not ready` : "";
  const base = { percent: p.total === 0 ? "–" : share(p), done: `${p.done}/${p.total}`, but };
  if (rollout === null) return { ...base, outcome: p.total === 0 ? "empty" : p.complete ? "all ready" : "", tone: p.complete ? "good" : "plain", time: "" };
  const { it, progress } = rollout;
  const took = duration(progress.elapsedMs);
  if (progress.endedAt === undefined) {
    const left = progress.etaAt === undefined ? "" : `, about ${duration(Math.max(1000, progress.etaAt - now))} left`;
    // It stays open for a minute in which something may still begin.
    if (p.complete) return { ...base, outcome: "all ready", tone: "good", time: took };
    return { ...base, outcome: "rolling out", tone: "running", time: `${took}${left}` };
  }
  const time = `took ${took}, ended ${now - progress.endedAt < 86_400_000 ? ago(progress.endedAt, now) : dateTime(progress.endedAt, now)}`;
  if (it.outcome === "failed") return { ...base, outcome: "failed", tone: "bad", time };
  if (it.outcome === "succeeded" && p.complete) return { ...base, outcome: "complete", tone: "good", time };
  return { ...base, outcome: it.outcome === "succeeded" ? "rolled out" : "incomplete", tone: it.outcome === "succeeded" ? "plain" : "bad", time };
}
