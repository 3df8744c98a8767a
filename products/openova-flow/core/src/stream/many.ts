import { Stream, type Connection, type StreamOptions } from "./connection.js";
import type { SseFrame } from "./sse-parser.js";
import { parseRegions } from "../contract/parse-regions.js";
import type { Regions } from "../contract/regions.js";
import { parseHeartbeat } from "./sse.js";
import type { FlowMessage } from "../contract/types.js";
import { decode, type ValidationError } from "../contract/validate.js";

/**
 * An event of a stream of several flows. `seq` is its sequence number, counted over all flows of the server; undefined if it has none. To
 * resume, use `Connection.lastEventId`: the id of an event may have more than the number.
 */
export type ManyEvent =
  /** The incarnations of the followed flows that exist, by id: on each connection before the events of flows, and again if a client fell behind. */
  | { readonly type: "flows"; readonly flows: ReadonlyMap<string, string> }
  | { readonly type: "message"; readonly flowId: string; readonly seq: number | undefined; readonly message: FlowMessage }
  /** An invalid snapshot. The state of the flow is unknown until the next one. */
  | { readonly type: "unreadable"; readonly flowId: string; readonly seq: number | undefined; readonly error: ValidationError }
  /** The claims of a flow's regions: all of them, on each connection and after each change. Older servers do not send it. */
  | { readonly type: "regions"; readonly flowId: string; readonly at: number; readonly regions: Regions }
  | { readonly type: "deleted"; readonly flowId: string; readonly seq: number | undefined }
  | { readonly type: "heartbeat"; readonly seq: number; readonly at: number };

export interface ConnectManyOptions extends StreamOptions {
  /** The flows to follow, at most 256. Absent or empty: all flows, also future ones. */
  readonly flows?: readonly string[] | undefined;
  readonly onEvent: (event: ManyEvent) => void;
}

/**
 * Follows several flows over one connection until closed: resumes, backs off, gets new snapshots. Never throws. If the connection is lost
 * during the first snapshots, messages may be repeated that a snapshot already contains; folding them again gives the same state.
 */
export function connectMany(options: ConnectManyOptions): Connection {
  const query = (options.flows ?? []).map((id) => `flow=${id}`).join("&");
  return new Stream(options, query === "" ? "stream" : `stream?${query}`, (frame, stream) => read(options, frame, stream));
}

function read({ onEvent }: ConnectManyOptions, frame: SseFrame, stream: Stream): void {
  const slash = frame.event.indexOf("/");
  if (slash === -1) return readOwn(onEvent, frame, stream);
  const flowId = frame.event.slice(0, slash);
  const [, digits, mark = ""] = /^(\d+)(\.[\da-f]+)?$/.exec(frame.id ?? "") ?? [];
  const seq = digits === undefined ? undefined : Number(digits);
  if (seq !== undefined) stream.mark = mark;
  const type = frame.event.slice(slash + 1);
  if (type === "regions") {
    const claims = parseRegions(frame.data);
    if (claims !== null) onEvent({ type: "regions", flowId, ...claims });
    return;
  }
  if (type === "deleted") {
    stream.lastSeq = seq ?? stream.lastSeq;
    return onEvent({ type: "deleted", flowId, seq });
  }
  const got = decode(flowId, frame.data);
  if (!got.ok && type !== "snapshot") return stream.unreadable(got.error);
  stream.lastSeq = seq ?? stream.lastSeq;
  // A new request would bring the same snapshot, and all others with it. The valid flows continue.
  onEvent(got.ok ? { type: "message", flowId, seq, message: got.message } : { type: "unreadable", flowId, seq, error: got.error });
}

/** Reads a frame of the stream itself. The stream can't resume after its `seq`. */
function readOwn(onEvent: (event: ManyEvent) => void, frame: SseFrame, stream: Stream): void {
  if (frame.event === "heartbeat") {
    const beat = parseHeartbeat(frame.data);
    if (beat === null) return;
    stream.live();
    onEvent({ type: "heartbeat", seq: beat.seq, at: beat.at });
  } else if (frame.event === "flows") {
    const flows = parseFlows(frame.data);
    if (flows !== null) onEvent({ type: "flows", flows });
  }
}

function parseFlows(data: string): ReadonlyMap<string, string> | null {
  try {
    const { flows } = JSON.parse(data) as { flows?: unknown };
    return typeof flows === "object" && flows !== null ? new Map(Object.entries(flows).map(([id, incarnation]) => [id, String(incarnation)])) : null;
  } catch {
    return null;
  }
}
