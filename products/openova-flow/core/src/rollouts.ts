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
  /** Absent while it is open. */
  readonly endedAt?: number;
  readonly outcome: RolloutOutcome;
  readonly members: readonly RolloutMember[];
  readonly alreadyBroken: readonly string[];
}
/** Reads the answer of `GET /v1/flows/{flowId}/rollouts`; entries that are not rollouts are left out. Newest first. */
export declare function parseRollouts(value: unknown): readonly Rollout[];
/** The open rollout, else the last; with `at` the one that was so at that instant. */
export declare function currentRollout(rollouts: readonly Rollout[], at?: number): Rollout | null;
export declare function memberIds(rollout: Rollout): ReadonlySet<string>;
