/** What every shell takes as it stands after the name of a program. */
const PLAIN = /^(?!=)[\w.:/@,=-]+$/;
/** The name of a program: what it is found by, never an assignment. */
const PROGRAM = /^(?!-)[\w./-]+$/;
const OPTION = /^--?[A-Za-z0-9][A-Za-z0-9-]*(=|$)/;
/**
 * An argument without control characters (C0, C1, line ends), those that are not seen or turn the direction of text, unpaired surrogates, and what Unicode
 * has not assigned. A terminal obeys some of them before a shell sees them, so quotes do not help. What is longer names nothing that a cluster has.
 */
const FIT = /^[^\p{C}\p{Zl}\p{Zp}]{0,1024}$/u;

/**
 * The line that makes a POSIX shell run exactly `argv`, for a person to copy: what is not plain is in single quotes. Undefined where no
 * line is safe to paste: an argument holds control or invisible characters, is longer than 1,024, or begins with `-` and is no option;
 * or the first is no name of a program. An option is taken as it is: of data use `commandLine`, which refuses data that begins with `-`.
 */
export function shellCommand(argv: readonly string[]): string | undefined {
  const [program, ...rest] = argv;
  if (program === undefined || !PROGRAM.test(program)) return undefined;
  if (argv.some((a) => !FIT.test(a) || (a.startsWith("-") && !OPTION.test(a)))) return undefined;
  return [program, ...rest.map(quoted)].join(" ");
}

function quoted(argument: string): string {
  if (PLAIN.test(argument)) return argument;
  // A name and an equals sign stay outside of the quotes: they are easier to read so.
  return `${argument.replaceAll("'", "'\\''").replace(/^([A-Za-z0-9-]+=)?/, "$&'")}'`;
}

/**
 * The command line of a template. Its text is split at spaces into arguments; each value is data, and never more than a part of one
 * argument. Undefined where `shellCommand` has none, and where data is absent, empty or begins with `-`.
 */
export function commandLine(text: readonly string[], ...data: readonly (string | undefined)[]): string | undefined {
  if (data.some((value) => value === undefined || value === "" || value.startsWith("-"))) return undefined;
  let next = 0;
  return shellCommand(text.join("\0").split(" ").map((word) => word.replace(/\0/g, () => data[next++] as string)));
}

/** What a command that comes with a flow may be: looking, and telling Flux to try again or to go on. */
const VERBS: ReadonlyMap<string, readonly string[]> = new Map([
  ["kubectl", ["auth", "describe", "events", "get", "logs"]],
  ["flux", ["debug", "get", "logs", "reconcile", "resume", "tree"]],
]);
const OPTIONS = /^(-n|-A|-o|--for|--reset|--force|--with-source|--tail=\d{1,6}|--raw=\/readyz\?verbose|--as=[^-].*)$/;

/** Whether a command is one that an adapter offers: whoever may write a node could else hand a person any command. */
export function isOffered([program = "", ...rest]: readonly string[]): boolean {
  const verb = rest[rest[0] === "-n" ? 2 : 0] ?? "";
  return VERBS.get(program)?.includes(verb) === true && !rest.some((a) => a.startsWith("-") && !OPTIONS.test(a));
}

/** The line of a command that came with a flow's data, as `shellCommand` makes it; undefined besides for one that no adapter offers. */
export function offeredCommand(argv: readonly string[]): string | undefined {
  return isOffered(argv) ? shellCommand(argv) : undefined;
}
