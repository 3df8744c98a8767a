import type { Fetch } from "@openova/flow-core";
import { content } from "./content.js";

// Replaces lib/guard.ts in the report: responds from the recording and sends no request.

export function onUnauthorized(): void {
  // A report has no sign-in.
}

export const guardedFetch: Fetch = async (url) => {
  const { pathname, searchParams } = new URL(url);
  const what = pathname.slice(pathname.lastIndexOf("/") + 1);
  const found = what === "events" ? page(Number(searchParams.get("after"))) : what === "rollouts" || what === "revisions" ? content?.recording?.[what] : undefined;
  return Promise.resolve(found === undefined || found === null ? new Response("null", { status: 404 }) : Response.json(found));
};

function page(after: number): unknown {
  const pages = content?.recording?.pages ?? [];
  return after === 0 ? pages[0] : (pages.find((p) => p.baseSeq >= after) ?? { ...pages.at(-1), baseSeq: after, base: null, events: [] });
}
