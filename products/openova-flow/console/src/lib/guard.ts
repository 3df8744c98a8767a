import type { Fetch } from "@openova/flow-core";

/** Handles a 401: the browser is not signed in. */
export function onUnauthorized(): void {
  import("./sign-in.js").then(({ signIn }) => signIn()).catch(() => undefined);
}

/** `fetch` that goes to the sign-in page on a 401. */
export const guardedFetch: Fetch = async (url, init) => {
  const answer = await fetch(url, init as RequestInit);
  if (answer.status === 401) onUnauthorized();
  return answer;
};
