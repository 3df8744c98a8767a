import { formatRoute, HOME, parseRoute, type Route } from "./route.js";

/** Where the server is: the folder of this page, whatever prefix it lies under. */
export const baseUrl = new URL(".", location.href).href;

class Nav {
  #route = $state.raw<Route>(parseRoute(location.search));

  constructor() {
    addEventListener("popstate", () => (this.#route = parseRoute(location.search)));
  }

  get route(): Route {
    return this.#route;
  }

  /** The link to this route with some of it changed. */
  href(change: Partial<Route>): string {
    return formatRoute({ ...this.#route, ...change });
  }

  /** Goes there. `replace` leaves no step for the back button, as is right while somebody types or drags. */
  go(change: Partial<Route>, replace = false): void {
    const url = this.href(change);
    if (url === formatRoute(this.#route)) return;
    history[replace ? "replaceState" : "pushState"](null, "", location.pathname + (url === "?" ? "" : url));
    this.#route = parseRoute(url);
  }

  /** The start of a flow or, with null, the fleet: nothing of the present route is kept. */
  hrefOf(flow: string | null): string {
    return formatRoute({ ...HOME, flow });
  }

  /** Follows a link of the page without loading it anew. To be put on a link's click. */
  follow = (event: MouseEvent): void => {
    const link = event.currentTarget;
    if (!(link instanceof HTMLAnchorElement) || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.go(parseRoute(link.search));
  };
}

export const nav = new Nav();
