import { formatRoute, HOME, parseRoute, type Route } from "./route.js";

/** The base URL of the server: the folder of this page, under any prefix. */
export const baseUrl = new URL(".", location.href).href;

class Nav {
  #route = $state.raw<Route>(parseRoute(location.search));

  constructor() {
    addEventListener("popstate", () => (this.#route = parseRoute(location.search)));
  }

  get route(): Route {
    return this.#route;
  }

  /** The link to the current route with changes. */
  href(change: Partial<Route>): string {
    return formatRoute({ ...this.#route, ...change });
  }

  /** Changes the route. `replace` adds no history entry, for typing and dragging. */
  go(change: Partial<Route>, replace = false): void {
    const url = this.href(change);
    if (url === formatRoute(this.#route)) return;
    history[replace ? "replaceState" : "pushState"](null, "", location.pathname + (url === "?" ? "" : url));
    this.#route = parseRoute(url);
  }

  /** The link to a flow or, with null, to the fleet, without anything of the current route. */
  hrefOf(flow: string | null): string {
    return formatRoute({ ...HOME, flow });
  }

  /** Click handler of links: follows the link without a page load. Other buttons and clicks with a modifier key are left to the browser. */
  follow = (event: MouseEvent): void => {
    const link = event.currentTarget;
    if (!(link instanceof HTMLAnchorElement) || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.go(parseRoute(link.search));
  };
}

export const nav = new Nav();
