import type { FlowMessage } from "./types.js";

export interface ValidationError {
  /** The offending field, such as `nodes[3].status`; empty when it is the message as a whole. */
  readonly field: string;
  readonly message: string;
}
export type Validated =
  | { readonly ok: true; readonly message: FlowMessage }
  | { readonly ok: false; readonly error: ValidationError };

/** Parses and validates one message that is posted to flow `flowId`. What JSON.parse hides, such as duplicate keys, passes. */
export declare function decode(flowId: string, text: string): Validated;
/** Validates a parsed message. The message that comes back is the value itself. */
export declare function validate(flowId: string, value: unknown): Validated;
