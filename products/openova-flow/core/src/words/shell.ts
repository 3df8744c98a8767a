/** An argument that needs no quotes in a POSIX shell or zsh. */
const PLAIN = /^(?!=)[\w.:/@,=-]+$/;
/** The name of a program, which can't be an assignment. */
const PROGRAM = /^(?!-)[\w./-]+$/;
const OPTION = /^--?[A-Za-z0-9][A-Za-z0-9-]*(=|$)/;
/**
 * An argument without line ends and without characters of category C (control, format, private use, unassigned, unpaired surrogates): a
 * terminal interprets some of them before the shell does, so quotes do not help. Nothing in a cluster has a longer name.
 */
const SAFE = /^[^\p{C}\p{Zl}\p{Zp}]{0,1024}$/u;

/**
 * A line with which a POSIX shell runs exactly `argv`, for a person to copy. Arguments are quoted with single quotes where necessary.
 * Undefined if no line is safe to paste: an argument has control or format characters, is longer than 1,024, or starts with `-` and is
 * not an option; or the first is not the name of a program. It does not reject the shell's own words, such as `if`: callers only run
 * kubectl and flux. Options are accepted as they are: use `commandLine` for data, which rejects data that starts with `-`.
 */
export function shellCommand(argv: readonly string[]): string | undefined {
  const [program, ...rest] = argv;
  if (program === undefined || !PROGRAM.test(program)) return undefined;
  if (argv.some((a) => !SAFE.test(a) || (a.startsWith("-") && !OPTION.test(a)))) return undefined;
  return [program, ...rest.map(quoted)].join(" ");
}

function quoted(argument: string): string {
  if (PLAIN.test(argument)) return argument;
  // A name and its equals sign stay outside the quotes, for readability.
  return `${argument.replaceAll("'", "'\\''").replace(/^([A-Za-z0-9-]+=)?/, "$&'")}'`;
}

/**
 * The command line of a template. Its text is split at spaces into arguments; each value is data, within one argument. Undefined if
 * `shellCommand` returns undefined, and if a value is absent, empty or starts with `-`.
 */
export function commandLine(text: readonly string[], ...data: readonly (string | undefined)[]): string | undefined {
  if (data.some((value) => value === undefined || value === "" || value.startsWith("-"))) return undefined;
  let next = 0;
  return shellCommand(text.join("\0").split(" ").map((word) => word.replace(/\0/g, () => data[next++] as string)));
}

/** The subcommands that a command of a flow may use: they read, or make Flux retry or resume. */
const VERBS: ReadonlyMap<string, readonly string[]> = new Map([
  ["kubectl", ["auth", "describe", "events", "get", "logs"]],
  ["flux", ["debug", "get", "logs", "reconcile", "resume", "tree"]],
]);
const OPTIONS = /^(-n|-A|-o|--for|--reset|--force|--with-source|--tail=\d{1,6}|--raw=\/readyz\?verbose|--as=[^-].*)$/;

/** Whether a command has only subcommands and options that adapters send. Without this check a writer of nodes could suggest any command. */
export function isOffered([program = "", ...rest]: readonly string[]): boolean {
  const verb = rest[rest[0] === "-n" ? 2 : 0] ?? "";
  return VERBS.get(program)?.includes(verb) === true && !rest.some((a) => a.startsWith("-") && !OPTIONS.test(a));
}

/** The line of a command from a flow's data, as `shellCommand` makes it; also undefined for a command that no adapter sends. */
export function offeredCommand(argv: readonly string[]): string | undefined {
  return isOffered(argv) ? shellCommand(argv) : undefined;
}
