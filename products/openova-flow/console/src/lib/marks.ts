/** The texts of a mark: a short one for rows, and a sentence. */
export interface MarkWords {
  readonly mark: string;
  readonly short: string;
  readonly long: string;
}

const REMOTE = "remote:";
const WORDS: Readonly<Record<string, readonly [short: string, long: string]>> = {
  retrying: ["retrying", "Flux tries again."],
  overdue: ["overdue", "It has exceeded its timeout."],
  "not-observed": ["change not seen", "Its controller has not processed its newest change yet."],
  "old-revision": ["old revision", "It is at an older revision than it should be."],
  drift: ["drift", "The cluster differs from what Flux applied."],
  "ready-expr": ["not ready by expression", "All its dependencies are ready, but its readyExpr is not true yet."],
  "source-stale": ["source not ready", "Its source is not ready, so it gets no new changes."],
  suspended: ["suspended", "Flux does not change it until somebody resumes it."],
};

/** The texts of marks, each once, in their order. An unknown mark is its own text. */
export function markWords(marks: readonly string[]): readonly MarkWords[] {
  return [...new Set(marks)].map((mark) => {
    if (mark.startsWith(REMOTE)) return { mark, short: "remote", long: `It is applied to another cluster, by kubeconfig ${mark.slice(REMOTE.length)}.` };
    const [short, long] = Object.hasOwn(WORDS, mark) ? (WORDS[mark] as readonly [string, string]) : [mark, mark];
    return { mark, short, long };
  });
}
