import { parseRegions } from "../contract/parse-regions.js";
import type { Regions } from "../contract/regions.js";
import { seqOf, Stream, type Connection, type StreamOptions } from "./connection.js";
import type { SseFrame } from "./sse-parser.js";
import type { FlowMessage } from "../contract/types.js";
import { decode } from "../contract/validate.js";

export type { Connection, ConnectionState, StreamOptions } from "./connection.js";
export { SseParser, type SseFrame } from "./sse-parser.js";

export type StreamEvent =
  | { readonly type: "message"; readonly seq: number; readonly message: FlowMessage }
  | { readonly type: "heartbeat"; readonly seq: number; readonly at: number; readonly incarnation: string }
  /** The claims of regions: all of them, on each connection and after each change. Older servers do not send it. */
  | { readonly type: "regions"; readonly at: number; readonly regions: Regions }
  /** The flow was deleted. */
  | { readonly type: "deleted" };

export interface ConnectOptions extends StreamOptions {
  readonly flowId: string;
  readonly onEvent: (event: StreamEvent) => void;
}

/** Follows the stream of a flow until closed: resumes, backs off, gets new snapshots. Never throws. */
export function connect(options: ConnectOptions): Connection {
  return new Stream(options, `flows/${options.flowId}/stream`, (frame, stream) => read(options, frame, stream));
}

function read({ flowId, onEvent }: ConnectOptions, frame: SseFrame, stream: Stream): void {
  if (frame.event === "heartbeat") {
    const beat = parseHeartbeat(frame.data);
    if (beat === null) return;
    if (stream.state.kind !== "gone" || beat.seq > 0) stream.live();
    return onEvent(beat);
  }
  if (frame.event === "regions") {
    const claims = parseRegions(frame.data);
    if (claims !== null) onEvent({ type: "regions", ...claims });
    return;
  }
  if (frame.event === "deleted") {
    onEvent({ type: "deleted" });
    return stream.gone();
  }
  const seq = seqOf(frame);
  if (seq === undefined) return;
  const got = decode(flowId, frame.data);
  if (!got.ok) return stream.unreadable(got.error);
  if (got.message.type !== "snapshot" && stream.lastSeq !== undefined && seq <= stream.lastSeq) return;
  stream.lastSeq = seq;
  stream.live();
  onEvent({ type: "message", seq, message: got.message });
}

/** Null if it is invalid. */
export function parseHeartbeat(data: string): (StreamEvent & { type: "heartbeat" }) | null {
  try {
    const { seq, at, incarnation } = JSON.parse(data) as { seq?: unknown; at?: unknown; incarnation?: unknown };
    if (typeof seq !== "number" || typeof at !== "number") return null;
    return { type: "heartbeat", seq, at, incarnation: typeof incarnation === "string" ? incarnation : "" };
  } catch {
    return null;
  }
}
