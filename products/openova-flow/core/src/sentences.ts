/** The sentences about a graph. `{…}` is filled in. */
export const SENTENCES = {
  "dependency-missing": "{name} waits for {missing}, which does not exist.",
  "dependency-of-another-kind": "{name} waits for {kind} {missing}, which does not exist; a {other} has that name, and a {kind} cannot wait for one.",
  cycle: "{names} wait for each other; none can ever start.",
  "cycle-across": "Releases of {regions} regions wait for each other; none can ever start: {edges}.",
  "self-cycle": "{name} depends on itself and can never start.",
  "dependencies-ready": "{name} still waits, though all its dependencies are ready.",
  "held-by-expression": "{name} waits because its readyExpr for {dependency} is false, though {dependency} is ready.",
  "held-by-revision": "{name} is ready, but not at the newest revision, and {waiting} waits for that.",
  "suspended-holder": "{name} is suspended, and others wait for it. Resume it, or nothing behind it goes on.",
} as const;
export type SentenceName = keyof typeof SENTENCES;
