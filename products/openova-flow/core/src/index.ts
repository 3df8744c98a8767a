export * from "./stream/api.js";
export {
  DISPLAY_STATES,
  displayChangesAt,
  displayState,
  metaOf,
  times,
  type DisplayContext,
  type DisplayCounts,
  type DisplayState,
  type NodeTimes,
} from "./graph/display.js";
export { commandsFor, type Command } from "./words/commands.js";
export { criticalPath, type CriticalPath } from "./graph/critical.js";
export * from "./stream/fleet.js";
export { isFlowId } from "./contract/flow-id.js";
export { buildGraph, contextOf, displayOf, type FlowGraph, type GraphEdge } from "./graph/graph.js";
export { insightOf, type Insight, type Root } from "./insight/insight.js";
export { judgedAt, judgementOf, type Judged, type Judgement } from "./graph/judgement.js";
export { createLayoutClient, type LayoutClient, type WorkerLike } from "./layout/client.js";
export type { GroupBox, LayoutOptions, LayoutResult, NodeBox, Rect } from "./layout/index.js";
export { layout } from "./layout/whole.js";
export * from "./fold/log.js";
export * from "./stream/many.js";
export { originOf } from "./insight/origin.js";
export * from "./insight/problems.js";
export { isWatched } from "./graph/presence.js";
export * from "./insight/progress.js";
export { parseRegions } from "./contract/parse-regions.js";
export { allKnownUntil, knownUntil, lastSeen, NO_REGIONS, REGION_STALE, lastSeenText, staleRegions, type RegionLease, type Regions } from "./contract/regions.js";
export { blockedBy, blockingChains, blocks, marks, upstream, type Blocker } from "./insight/queries.js";
export * from "./contract/revisions.js";
export * from "./contract/rollouts.js";
export { fullNameOf, keyOf, nameOf } from "./words/names.js";
export * from "./words/search.js";
export { STATE_WORDS } from "./words/states.js";
export { duration, usually, type Usual } from "./words/time.js";
export { segments, type Segment } from "./insight/segments.js";
export { verdictOf, type Verdict } from "./insight/verdict.js";
export { offeredCommand, shellCommand } from "./words/shell.js";
export { connectShared, type Port, type SharedConnection, type SharedOptions } from "./stream/shared.js";
export { connect, SseParser, type Connection, type ConnectionState, type ConnectOptions, type SseFrame, type StreamEvent, type StreamOptions } from "./stream/sse.js";
export { compareBytes, emptyState, fold, foldAll, relKey, toSnapshot, withRegions, type FlowState } from "./fold/state.js";
export * from "./stream/store.js";
export * from "./contract/types.js";
export { decode, validate, type Validated, type ValidationError } from "./contract/validate.js";
export type { ByteReader, Fetch, FetchInit, FetchResponse, Timers } from "./stream/web.js";
