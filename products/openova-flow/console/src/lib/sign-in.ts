import { baseUrl } from "./nav.svelte.js";

const KEY = "openova-flow-sign-in";
/** Milliseconds after a redirect to the sign-in page during which `signIn` does not redirect again: that would be a loop. */
const AGAIN_MS = 10_000;

/** The URL of the sign-in page, which leads back to the current route after the sign-in. */
export function signInHref(): string {
  return new URL(`sign-in?next=${encodeURIComponent(`./${location.search}`)}`, baseUrl).href;
}

/** Goes to the sign-in page, unless it did so within the last `AGAIN_MS` or the browser keeps no storage. */
export function signIn(): void {
  try {
    const last = Number(sessionStorage.getItem(KEY));
    if (Math.abs(Date.now() - last) < AGAIN_MS) return;
    sessionStorage.setItem(KEY, String(Date.now()));
  } catch {
    // Without storage a loop cannot be detected: the page offers a link instead.
    return;
  }
  location.assign(signInHref());
}
