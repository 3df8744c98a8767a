import { isFlowId, type EventsAnswer } from "@openova/flow-core";

/** The data that the gate writes into the page; see the Go packages server/internal/reportpage and server/gate. Times are Unix milliseconds. */
export interface Content {
  readonly flow: string;
  readonly exit: number;
  readonly began: number;
  readonly ended: number;
  readonly region?: string;
  readonly line: string;
  readonly answer: Answer;
  readonly leftOut: { readonly objects: number; readonly problems: number };
  readonly noRecord?: string;
  readonly recording: Recording | null;
}
export interface Recording {
  readonly at: number;
  readonly regions: unknown;
  readonly rollouts: unknown;
  readonly revisions: unknown;
  readonly pages: readonly EventsAnswer[] | null;
  readonly dropped: number;
  readonly missing: readonly string[];
}
export interface Answer {
  readonly at: number;
  readonly revision?: string;
  readonly objects: readonly Outcome[] | null;
  readonly problems: readonly Wrong[] | null;
  readonly stale: readonly { readonly region: string; readonly since: number }[] | null;
  readonly missing: readonly string[] | null;
}
export interface Outcome {
  readonly id: string;
  readonly state: string;
  readonly outcome: "done" | "open" | "failed";
  readonly why?: string;
  readonly heldBy?: readonly string[];
}
export interface Wrong {
  readonly id: string;
  readonly region?: string;
  readonly class: string;
  readonly sentence: string;
  readonly command?: readonly string[];
  readonly blocks: number;
}

/** Null if the page has no data, or the data of a flow with an invalid id. */
function read(): Content | null {
  const text = document.getElementById("report")?.textContent ?? "";
  const read = text.trim() === "" ? null : (JSON.parse(text) as Content);
  return read !== null && isFlowId(read.flow) ? read : null;
}

export const content = read();
/** The instant of the report, which the page uses as now. */
export const reportedAt = content?.recording?.at ?? content?.answer.at ?? Date.now();
