import { guardedFetch } from "./guard.js";
import { baseUrl } from "./nav.svelte.js";

/** Who the server takes this browser for. */
export interface Me {
  readonly name: string;
  /** `none`: the server lets everybody in. */
  readonly signedIn: "cookie" | "bearer" | "proxy" | "none";
}

const KEY = "openova-flow-sign-in";
/** Whoever comes back from signing in sooner than this and is refused again is not sent there again: that would never end. */
const AGAIN_MS = 10_000;

/** Where one signs in, and comes back from to what is shown now. */
export function signInHref(): string {
  return new URL(`sign-in?next=${encodeURIComponent(`./${location.search}`)}`, baseUrl).href;
}

/** Goes to sign in, unless that has just been tried. */
export function signIn(): void {
  try {
    const last = Number(sessionStorage.getItem(KEY));
    if (Math.abs(Date.now() - last) < AGAIN_MS) return;
    sessionStorage.setItem(KEY, String(Date.now()));
  } catch {
    // Without storage nothing tells that it would never end: a link has to do.
    return;
  }
  location.assign(signInHref());
}

class Access {
  /** Null until it is known, and of a server that does not tell. */
  me = $state.raw<Me | null>(null);
  #asked: Promise<void> | null = null;

  /** Asks who this browser is, once. */
  ask(): Promise<void> {
    return (this.#asked ??= this.#load());
  }

  async signOut(): Promise<void> {
    // Asked for by a script, since a form of a page that sends no referrer would come from no origin.
    await fetch(new URL("sign-out", baseUrl), { method: "POST", redirect: "manual" }).catch(() => undefined);
    location.assign(signInHref());
  }

  async #load(): Promise<void> {
    const answer = await guardedFetch(new URL("v1/me", baseUrl).href, { headers: { Accept: "application/json" }, signal: null, cache: "no-store", credentials: "same-origin" }).catch(() => null);
    if (answer?.ok === true) this.me = (await answer.json().catch(() => null)) as Me | null;
  }
}

export const access = new Access();
