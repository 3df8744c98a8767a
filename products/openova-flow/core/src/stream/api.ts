import type { EventsAnswer } from "../fold/log.js";
import { parseRevisions, type Revision } from "../contract/revisions.js";
import { parseRollouts, type Rollout } from "../contract/rollouts.js";
import { endpoint, web, type Fetch } from "./web.js";

/** One flow of `GET /v1/flows`. */
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

/** A response that is not 2xx. */
export class ApiError extends Error {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  constructor(status: number, title: string, detail: string) {
    super(detail === "" ? title : `${title}: ${detail}`);
    this.name = "ApiError";
    this.status = status;
    this.title = title;
    this.detail = detail;
  }
}

export interface ApiOptions {
  readonly url: string;
  readonly fetch?: Fetch | undefined;
  readonly headers?: (() => Readonly<Record<string, string>>) | undefined;
}

export interface Api {
  flows(signal?: AbortSignal): Promise<readonly FlowSummary[]>;
  rollouts(flowId: string, signal?: AbortSignal): Promise<readonly Rollout[]>;
  /** At most `limit` revisions (the server's default is 100), newest first. `revision` selects by commit (7 digits or more), digest or tag. */
  revisions(flowId: string, options?: { readonly revision?: string; readonly limit?: number }, signal?: AbortSignal): Promise<readonly Revision[]>;
  events(flowId: string, after: number, limit?: number, signal?: AbortSignal): Promise<EventsAnswer>;
  /** Calls `onAnswer` with page after page of the messages that the server still has, at least up to the head of the first response. */
  history(flowId: string, onAnswer: (answer: EventsAnswer) => void, signal?: AbortSignal): Promise<void>;
}

/** The server's read endpoints. Calls reject with an ApiError for a response that is not 2xx. */
export function createApi(options: ApiOptions): Api {
  const get = async (path: string, signal?: AbortSignal): Promise<unknown> => {
    const response = await (options.fetch ?? web.fetch)(endpoint(options.url, path), {
      headers: { ...options.headers?.(), Accept: "application/json" },
      signal: signal ?? null,
      cache: "no-cache",
      credentials: "same-origin",
    });
    if (response.ok) return response.json();
    const problem = (await response.json().catch(() => null)) as { title?: unknown; detail?: unknown } | null;
    const { title, detail } = problem ?? {};
    throw new ApiError(
      response.status,
      typeof title === "string" ? title : `the server responded with ${response.status}`,
      typeof detail === "string" ? detail : "",
    );
  };
  const events = async (flowId: string, after: number, limit?: number, signal?: AbortSignal): Promise<EventsAnswer> =>
    (await get(`flows/${flowId}/events?after=${after}${limit === undefined ? "" : `&limit=${limit}`}`, signal)) as EventsAnswer;
  return {
    events,
    flows: async (signal) => ((await get("flows", signal)) as { flows?: readonly FlowSummary[] }).flows ?? [],
    rollouts: async (flowId, signal) => parseRollouts(await get(`flows/${flowId}/rollouts`, signal)),
    revisions: async (flowId, options = {}, signal) =>
      parseRevisions(await get(`flows/${flowId}/revisions?${Object.entries(options).map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join("&")}`, signal)),
    async history(flowId, onAnswer, signal) {
      let until: number | undefined;
      for (let after = 0; ; ) {
        const answer = await events(flowId, after, undefined, signal);
        onAnswer(answer);
        until ??= answer.head;
        const last = answer.events.at(-1)?.seq;
        if (last === undefined || last >= until || last <= after) return;
        after = last;
      }
    },
  };
}
