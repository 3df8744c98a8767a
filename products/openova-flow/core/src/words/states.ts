import type { DisplayState } from "../graph/display.js";

/** The display states in words for a person. */
export const STATE_WORDS: Readonly<Record<DisplayState, string>> = {
  ready: "ready",
  working: "working",
  waiting: "waiting",
  broken: "broken",
  suspended: "suspended",
  terminating: "being deleted",
  "not-started": "not started",
  unconfirmed: "unconfirmed",
};
