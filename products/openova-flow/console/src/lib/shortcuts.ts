import { VIEWS, type ViewId } from "./views.js";

export type Shortcut = ViewId | "search" | "help" | "outline" | "wrong" | "details" | "live" | "play" | "blocked" | "critical" | "close";

export const KEYS: Readonly<Record<string, Shortcut>> = {
  "/": "search",
  ...Object.fromEntries(VIEWS.map((v) => [v.key, v.id])),
  o: "outline",
  w: "wrong",
  d: "details",
  b: "blocked",
  c: "critical",
  p: "play",
  n: "live",
  Escape: "close",
  "?": "help",
};

/** The shortcut of a key; null if there is none, or if a field, a widget or the browser handles the key. */
export function shortcutOf(e: KeyboardEvent): Shortcut | null {
  if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey) return null;
  const found = Object.hasOwn(KEYS, e.key) ? KEYS[e.key] : undefined;
  if (found === undefined) return null;
  const target = e.target instanceof Element ? e.target : null;
  if (target?.closest("input:not([type=range], [type=checkbox]), textarea, select, [contenteditable]") !== null && target !== null) return null;
  // Letters in a tree search its items.
  if (/^[a-z]$/.test(e.key) && target !== null && target.closest("[role=tree]") !== null) return null;
  return found;
}
