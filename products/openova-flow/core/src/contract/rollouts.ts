export type RolloutOutcome = "running" | "succeeded" | "failed" | "incomplete";
export interface RolloutMember {
  readonly id: string;
  readonly label: string;
  readonly region?: string;
  readonly status: string;
  readonly startedAt?: number;
  readonly endedAt?: number;
  readonly waitingSince?: number;
  readonly versionFrom?: string;
  readonly versionTo?: string;
}
export interface Rollout {
  readonly id: string;
  readonly startedAt: number;
  /** Absent while the rollout is in progress. */
  readonly endedAt?: number;
  readonly outcome: RolloutOutcome;
  readonly members: readonly RolloutMember[];
  readonly alreadyBroken: readonly string[];
  /** Ids of the revisions that started it; absent if unknown. */
  readonly revisions?: readonly string[];
}

/** Parses the response of `GET /v1/flows/{flowId}/rollouts`, newest first. Invalid entries are omitted. */
export function parseRollouts(value: unknown): readonly Rollout[] {
  const list = (value as { rollouts?: unknown } | null)?.rollouts;
  return Array.isArray(list) ? list.filter(isRollout).sort((a, b) => b.startedAt - a.startedAt) : [];
}

function isRollout(value: unknown): value is Rollout {
  const r = value as Partial<Rollout> | null;
  return (
    typeof r === "object" &&
    r !== null &&
    typeof r.id === "string" &&
    typeof r.startedAt === "number" &&
    typeof r.outcome === "string" &&
    Array.isArray(r.members) &&
    r.members.every((m: Partial<RolloutMember> | null) => typeof m?.id === "string") &&
    Array.isArray(r.alreadyBroken)
  );
}

/** The newest rollout that had started at `at`; null if there is none. `rollouts` has the newest first. */
export function currentRollout(rollouts: readonly Rollout[], at = Infinity): Rollout | null {
  return rollouts.find((r) => r.startedAt <= at) ?? null;
}

/** A rollout as of an instant: in progress if it ended later. Its members stay as they are. */
export function rolloutAt(rollout: Rollout, at: number): Rollout {
  if (rollout.endedAt === undefined || rollout.endedAt <= at) return rollout;
  const { endedAt: _, ...rest } = rollout;
  return { ...rest, outcome: "running" };
}

export function memberIds(rollout: Rollout): ReadonlySet<string> {
  return new Set(rollout.members.map((m) => m.id));
}
