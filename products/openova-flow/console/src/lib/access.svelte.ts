import { guardedFetch } from "./guard.js";
import { baseUrl } from "./nav.svelte.js";
import { signInHref } from "./sign-in.js";

/** The caller as the server sees it. */
export interface Me {
  readonly name: string;
  /** `none`: the server has no access control. */
  readonly signedIn: "cookie" | "bearer" | "proxy" | "none";
}

class Access {
  /** Null if unknown. */
  me = $state.raw<Me | null>(null);
  #loading: Promise<void> | null = null;

  /** Requests the caller at the first call only, also if that fails. */
  load(): Promise<void> {
    return (this.#loading ??= this.#request());
  }

  async signOut(): Promise<void> {
    // Not a form: as the page's referrer policy is no-referrer, a form would be posted with `Origin: null`.
    await fetch(new URL("sign-out", baseUrl), { method: "POST", redirect: "manual" }).catch(() => undefined);
    location.assign(signInHref());
  }

  async #request(): Promise<void> {
    const answer = await guardedFetch(new URL("v1/me", baseUrl).href, { headers: { Accept: "application/json" }, signal: null, cache: "no-store", credentials: "same-origin" }).catch(() => null);
    if (answer?.ok === true) this.me = (await answer.json().catch(() => null)) as Me | null;
  }
}

export const access = new Access();
