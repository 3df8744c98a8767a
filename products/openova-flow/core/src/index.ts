export * from "./api.js";
export {
  DISPLAY_STATES,
  displayChangesAt,
  displayState,
  isSettled,
  metaOf,
  times,
  type DisplayContext,
  type DisplayCounts,
  type DisplayState,
  type NodeTimes,
} from "./display.js";
export { commandsFor, type Command } from "./commands.js";
export { criticalPath, type CriticalPath } from "./critical.js";
export * from "./fleet.js";
export { isFlowId } from "./flow-id.js";
export { buildGraph, type FlowGraph, type GraphEdge } from "./graph.js";
export { insightOf, type Insight, type Root, type Verdict } from "./insight.js";
export { judgedAt, judgementOf, type Judged, type Judgement } from "./judgement.js";
export { createLayoutClient, type LayoutClient, type WorkerLike } from "./layout/client.js";
export type { GroupBox, LayoutOptions, LayoutResult, NodeBox, Rect } from "./layout/index.js";
export { layout } from "./layout/whole.js";
export * from "./log.js";
export * from "./many.js";
export * from "./problems.js";
export * from "./progress.js";
export { allKnownUntil, knownUntil, lastHeard, NO_REGIONS, REGION_SILENT, sayLastHeard, staleRegions, type RegionLease, type Regions } from "./regions.js";
export { blockedBy, blockingChains, blocks, marks, upstream, type Blocker } from "./queries.js";
export * from "./rollouts.js";
export * from "./search.js";
export { segments, type Segment } from "./segments.js";
export { offeredCommand, shellCommand } from "./shell.js";
export { connectShared } from "./own.js";
export {
  connectSharedLazily,
  type Channel,
  type Locks,
  type Port,
  type SharedConnection,
  type SharedOptions,
  type SharedTransports,
  type SharedVia,
} from "./shared.js";
export { connect, SseParser, type Connection, type ConnectionState, type ConnectOptions, type SseFrame, type StreamEvent, type StreamOptions } from "./sse.js";
export { compareBytes, emptyState, fold, foldAll, relKey, toSnapshot, withRegions, type FlowState } from "./state.js";
export * from "./store.js";
export * from "./types.js";
export { decode, validate, type Validated, type ValidationError } from "./validate.js";
export type { ByteReader, Fetch, FetchInit, FetchResponse, Timers } from "./web.js";
