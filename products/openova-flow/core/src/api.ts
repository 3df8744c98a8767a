import type { EventsAnswer } from "./log.js";
import type { Rollout } from "./rollouts.js";
import type { Fetch } from "./web.js";

export interface FlowSummary {
  readonly id: string;
  readonly status: string;
  readonly startedAt: number;
  readonly endedAt?: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly regions: readonly string[];
  readonly seq: number;
  readonly updatedAt: number;
  readonly incarnation: string;
}
/** An answer that is not 2xx. */
export declare class ApiError extends Error {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  constructor(status: number, title: string, detail: string);
}
export interface ApiOptions {
  readonly url: string;
  readonly fetch?: Fetch;
  readonly headers?: () => Readonly<Record<string, string>>;
}
export interface Api {
  flows(signal?: AbortSignal): Promise<readonly FlowSummary[]>;
  rollouts(flowId: string, signal?: AbortSignal): Promise<readonly Rollout[]>;
  events(flowId: string, after: number, limit?: number, signal?: AbortSignal): Promise<EventsAnswer>;
  /** Page after page of what the server still holds, up to the head at the time of the first answer. */
  history(flowId: string, onAnswer: (answer: EventsAnswer) => void, signal?: AbortSignal): Promise<void>;
}
/** The server's read endpoints. Rejects with an ApiError for an answer that is not 2xx. */
export declare function createApi(options: ApiOptions): Api;
