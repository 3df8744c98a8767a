import type { View } from "./route.js";

export type Shortcut = View | "search" | "help" | "outline" | "wrong" | "details" | "live" | "play" | "blocked" | "critical" | "close";

/** Every key of the page, in the order in which help lists them. */
export const SHORTCUTS: readonly { readonly key: string; readonly does: Shortcut; readonly text: string }[] = [
  { key: "/", does: "search", text: "Search" },
  { key: "g", does: "graph", text: "Graph" },
  { key: "t", does: "timeline", text: "Timeline" },
  { key: "l", does: "table", text: "Table" },
  { key: "m", does: "matrix", text: "Matrix of releases by region" },
  { key: "r", does: "rollouts", text: "Rollouts" },
  { key: "o", does: "outline", text: "Go to the outline" },
  { key: "w", does: "wrong", text: "Go to what is wrong" },
  { key: "d", does: "details", text: "Go to the details" },
  { key: "b", does: "blocked", text: "Show only what blocks the selected release" },
  { key: "c", does: "critical", text: "Show the critical path of the rollout" },
  { key: "p", does: "play", text: "Play or pause the past" },
  { key: "n", does: "live", text: "Back to now" },
  { key: "Escape", does: "close", text: "Close the details" },
  { key: "?", does: "help", text: "This help" },
];

/** What a key asks for; null for none, and for one that belongs to a field, a widget or the browser. */
export function shortcutOf(e: KeyboardEvent): Shortcut | null {
  if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey) return null;
  const found = SHORTCUTS.find((s) => s.key === e.key);
  if (found === undefined) return null;
  const target = e.target instanceof Element ? e.target : null;
  if (target?.closest("input, textarea, select, [contenteditable]") !== null && target !== null) return null;
  // A tree goes to the item whose name begins with what is typed.
  if (/^[a-z]$/.test(e.key) && target !== null && target.closest("[role=tree]") !== null) return null;
  return found.does;
}
