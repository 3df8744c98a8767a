/** Fields that version 1 of the contract does not define. They are kept unchanged. */
export interface Extra {
  readonly [field: string]: unknown;
}

export type TriggerWhen = "success" | "failure" | "always";

export interface Trigger extends Extra {
  readonly flowId: string;
  readonly when: TriggerWhen;
}

/** One run of a flow. Times are Unix milliseconds. */
export interface FlowInstance extends Extra {
  readonly id: string;
  readonly definitionId?: string;
  readonly parentFlowId?: string;
  readonly triggeredBy?: readonly Trigger[];
  readonly status: string;
  readonly startedAt: number;
  readonly endedAt?: number;
  readonly meta?: NodeMeta;
}

/** One step of a flow, such as a HelmRelease in a region. */
export interface FlowNode extends Extra {
  readonly id: string;
  readonly flowId: string;
  readonly label: string;
  readonly status: string;
  readonly family?: string;
  readonly region?: string;
  readonly startedAt?: number;
  readonly endedAt?: number;
  readonly meta?: NodeMeta;
}

/** The emitter's data about a node or flow, which the contract does not define. `metaOf` reads that of a node. */
export type NodeMeta = Readonly<Record<string, unknown>>;

export const RELATIONSHIP_TYPES = [
  "contains",
  "finish-to-start",
  "start-to-start",
  "finish-to-finish",
  "start-to-finish",
  "triggers",
] as const;
export type RelationshipType = (typeof RELATIONSHIP_TYPES)[number];

export const CONDITIONS = ["on-success", "on-failure", "always"] as const;
export type Condition = (typeof CONDITIONS)[number];

/** The key of a relationship within its flow. */
export interface RelKey {
  readonly fromId: string;
  readonly toId: string;
  readonly type: RelationshipType;
}

export interface Relationship extends RelKey, Extra {
  readonly fromFlowId?: string;
  readonly toFlowId?: string;
  readonly condition?: Condition;
  /** Seconds. */
  readonly lag?: number;
}

export interface SnapshotMessage extends Extra {
  readonly type: "snapshot";
  readonly flow: FlowInstance;
  readonly nodes?: readonly FlowNode[];
  readonly relationships?: readonly Relationship[];
}
export interface UpsertFlowMessage extends Extra {
  readonly type: "upsert-flow";
  readonly flow: FlowInstance;
}
export interface UpsertNodesMessage extends Extra {
  readonly type: "upsert-nodes";
  readonly nodes: readonly FlowNode[];
}
export interface UpsertRelsMessage extends Extra {
  readonly type: "upsert-rels";
  readonly relationships: readonly Relationship[];
}
export interface DeleteNodesMessage extends Extra {
  readonly type: "delete-nodes";
  readonly ids: readonly string[];
}
export interface DeleteRelsMessage extends Extra {
  readonly type: "delete-rels";
  readonly pairs: readonly RelKey[];
}

export type FlowMessage =
  | SnapshotMessage
  | UpsertFlowMessage
  | UpsertNodesMessage
  | UpsertRelsMessage
  | DeleteNodesMessage
  | DeleteRelsMessage;
export type MessageType = FlowMessage["type"];

/** A snapshot from the server or `toSnapshot`: both arrays are present and sorted as the contract defines. */
export interface FullSnapshot extends SnapshotMessage {
  readonly nodes: readonly FlowNode[];
  readonly relationships: readonly Relationship[];
}

/** The statuses that the Flux adapter uses. The contract allows any string. */
export type WireStatus = "pending" | "running" | "succeeded" | "failed";

/** Fields of `meta` that the Flux adapter writes. A field without a value is absent. */
export interface FluxMeta {
  /** Read it with `judgementOf`. */
  readonly judgement?: unknown;
  /** The node is not part of the rollout itself: a source, or an object that creates others. */
  readonly auxiliary?: boolean;
  readonly kind?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly ready?: "True" | "False" | "Unknown";
  readonly reason?: string;
  readonly message?: string;
  readonly reasonSince?: number;
  readonly stalled?: boolean;
  readonly stalledReason?: string;
  readonly stalledMessage?: string;
  readonly waitingFor?: readonly string[];
  readonly dependsOnUnwatched?: readonly string[];
  readonly waitingSince?: number;
  readonly suspended?: boolean;
  readonly deletingSince?: number;
  readonly finalizers?: readonly string[];
  readonly chart?: ChartMeta;
  readonly source?: SourceMeta;
  readonly versionWanted?: string;
  readonly versionApplied?: string;
  readonly revision?: string;
  readonly originRevision?: string;
  readonly readyRevision?: string;
  readonly readySince?: number;
  readonly updatedAt?: number;
  readonly path?: string;
  readonly helmRevision?: number;
  readonly action?: string;
  readonly attempts?: number;
  readonly failures?: number;
  readonly installFailures?: number;
  readonly upgradeFailures?: number;
  readonly generation?: number;
  readonly observedGeneration?: number;
  readonly startedAtIsLowerBound?: boolean;
  readonly appliedBy?: string;
  readonly namespaces?: readonly string[];
  readonly clusterUID?: string;
  readonly notWatched?: readonly { readonly kind: string; readonly why: string }[];
  /** How far the flow server's clock is ahead of the cluster's, in milliseconds: the adapter has added it to all times. */
  readonly clockOffset?: number;
  /** The Secret or ConfigMap with the kubeconfig of the other cluster that it is applied to. */
  readonly targetCluster?: string;
  readonly targetNamespace?: string;
  readonly releaseName?: string;
  readonly driftDetection?: string;
  readonly drift?: string;
}

export interface ChartMeta {
  readonly name?: string;
  readonly version?: string;
  readonly ready?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly revision?: string;
  readonly sourceRevision?: string;
}

export interface SourceMeta {
  readonly kind?: string;
  readonly name?: string;
  readonly namespace?: string;
  readonly ready?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly revision?: string;
}
