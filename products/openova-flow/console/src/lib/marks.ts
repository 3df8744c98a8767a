import { judgedAt, judgementOf, metaOf, type FlowNode } from "@openova/flow-core";
import { dateTime, duration } from "./format.js";

/** The words for a mark: the few for a row, and a sentence for who asks. */
export interface MarkWords {
  readonly mark: string;
  readonly short: string;
  readonly long: string;
}

const REMOTE = "remote:";
const WORDS: Readonly<Record<string, readonly [short: string, long: string]>> = {
  retrying: ["retrying", "Flux tries again."],
  overdue: ["overdue", "It is past the time that Flux gives it."],
  "not-observed": ["change not seen", "Its controller has not looked at its newest change yet."],
  "old-revision": ["old revision", "It is at an older revision than it should be."],
  drift: ["drift", "The cluster differs from what Flux applied."],
  "ready-expr": ["not ready by expression", "All that it depends on is ready, but an expression (readyExpr) says that it may not go on yet."],
  "source-stale": ["source not ready", "Its source is not ready, so it gets no newer change."],
  suspended: ["suspended", "Flux changes nothing of it until somebody resumes it."],
};

/** The words for marks, in the order of the marks. A mark that is not known is said as it came. */
export function markWords(marks: readonly string[]): readonly MarkWords[] {
  return [...new Set(marks)].map((mark) => {
    if (mark.startsWith(REMOTE)) return { mark, short: "remote", long: `It is applied to another cluster, by kubeconfig ${mark.slice(REMOTE.length)}.` };
    const [short, long] = Object.hasOwn(WORDS, mark) ? (WORDS[mark] as readonly [string, string]) : [mark, mark];
    return { mark, short, long };
  });
}

/** What a judgement counts, as facts: which try, when the next, how long it may take. `at` is when the judgement is read, `now` is today. */
export function judgedFacts(node: FlowNode, at: number, now: number): readonly (readonly [string, string | undefined])[] {
  const { attempts, of, nextTry, limit } = judgedAt(judgementOf(node), at);
  const tries = attempts ?? metaOf(node).attempts;
  const next = nextTry === undefined ? undefined : `${dateTime(nextTry, now)}${nextTry > at ? `, in ${duration(nextTry - at)}` : ""}`;
  return [
    [attempts === undefined ? "Tries" : "Try", tries === undefined ? undefined : of === undefined ? String(tries) : `${tries} of ${of}`],
    ["Next try", next],
    ["Limit", limit === undefined ? undefined : duration(limit)],
  ];
}
