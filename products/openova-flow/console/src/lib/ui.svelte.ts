import { phone } from "./media.svelte.js";
import { nav } from "./nav.svelte.js";

/** The open parts of the page. Links do not contain them. */
class Ui {
  /** The problems and the outline. On a phone they cover the view, and are shown first unless the link names a node or another view than the graph. */
  side = $state(!phone.matches || (nav.route.node === null && nav.route.view === "graph"));
  help = $state(false);
  /** A link with a commit but without a flow opens it. */
  palette = $state(nav.route.flow === null && nav.route.revision !== null);
  /** The last request to play, a new object each time. With `toggle`, a past that is being played is paused. */
  play = $state.raw<{ readonly toggle: boolean }>({ toggle: false });
}

export const ui = new Ui();
