import type { View } from "./route.js";

export type Shortcut = View | "search" | "help" | "outline" | "wrong" | "details" | "live" | "play" | "blocked" | "critical" | "close";

/** Every key of the page. */
export const KEYS: Readonly<Record<string, Shortcut>> = {
  "/": "search",
  g: "graph",
  t: "timeline",
  l: "table",
  m: "matrix",
  r: "rollouts",
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

/** What a key asks for; null for none, and for one that belongs to a field, a widget or the browser. */
export function shortcutOf(e: KeyboardEvent): Shortcut | null {
  if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey) return null;
  const found = Object.hasOwn(KEYS, e.key) ? KEYS[e.key] : undefined;
  if (found === undefined) return null;
  const target = e.target instanceof Element ? e.target : null;
  if (target?.closest("input, textarea, select, [contenteditable]") !== null && target !== null) return null;
  // A tree goes to the item whose name begins with what is typed.
  if (/^[a-z]$/.test(e.key) && target !== null && target.closest("[role=tree]") !== null) return null;
  return found;
}
