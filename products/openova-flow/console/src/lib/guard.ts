import type { Fetch } from "@openova/flow-core";

/** Somebody was told that this browser is not signed in, or not any more. */
export function unknown(): void {
  import("./access.svelte.js").then((access) => access.signIn()).catch(() => undefined);
}

/** `fetch`, but who is not signed in goes to sign in. */
export const guardedFetch: Fetch = async (url, init) => {
  const answer = await fetch(url, init as RequestInit);
  if (answer.status === 401) unknown();
  return answer;
};
