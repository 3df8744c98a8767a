import type { EventsAnswer } from "./log.js";
import { parseRollouts, type Rollout } from "./rollouts.js";
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

/** An answer that is not 2xx. */
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
  events(flowId: string, after: number, limit?: number, signal?: AbortSignal): Promise<EventsAnswer>;
  /** Page after page of what the server still holds, up to the head at the time of the first answer. */
  history(flowId: string, onAnswer: (answer: EventsAnswer) => void, signal?: AbortSignal): Promise<void>;
}

/** The server's read endpoints. Rejects with an ApiError for an answer that is not 2xx. */
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
      typeof title === "string" ? title : `the server answered ${response.status}`,
      typeof detail === "string" ? detail : "",
    );
  };
  const events = async (flowId: string, after: number, limit?: number, signal?: AbortSignal): Promise<EventsAnswer> =>
    (await get(`flows/${flowId}/events?after=${after}${limit === undefined ? "" : `&limit=${limit}`}`, signal)) as EventsAnswer;
  return {
    events,
    flows: async (signal) => ((await get("flows", signal)) as { flows?: readonly FlowSummary[] }).flows ?? [],
    rollouts: async (flowId, signal) => parseRollouts(await get(`flows/${flowId}/rollouts`, signal)),
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
