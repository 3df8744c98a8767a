/** What every shell takes as it stands after the name of a program. */
const PLAIN = /^[A-Za-z0-9._:/@,-][A-Za-z0-9._:/@,=-]*$/;
/** The name of a program: what it is found by, never an assignment. */
const PROGRAM = /^[A-Za-z0-9._/][A-Za-z0-9._/-]*$/;
const OPTION = /^--?[A-Za-z0-9][A-Za-z0-9-]*(=|$)/;
/** A name and an equals sign, which stay outside of the quotes, since they are easier to read so. */
const KEY = /^[A-Za-z0-9-]+=/;
/**
 * Control characters (C0, C1, line ends), those that are not seen or turn the direction of text, unpaired surrogates, and what Unicode
 * has not assigned. A terminal obeys some of them before a shell sees them, so quotes do not help.
 */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/u;
/** An argument longer than this names nothing that a cluster has. */
const MOST = 1024;

/**
 * The line that makes a POSIX shell run exactly `argv`, for a person to copy: what is not plain is in single quotes. Undefined where no
 * line is safe to paste: an argument holds control or invisible characters, is longer than 1,024, or begins with `-` and is no option;
 * or the first is no name of a program. An option is taken as it is: of data use `commandLine`, which refuses data that begins with `-`.
 */
export function shellCommand(argv: readonly string[]): string | undefined {
  const [program, ...rest] = argv;
  if (program === undefined || !PROGRAM.test(program)) return undefined;
  if (argv.some((a) => a.length > MOST || UNSEEN.test(a) || (a.startsWith("-") && !OPTION.test(a)))) return undefined;
  return [program, ...rest.map(quoted)].join(" ");
}

function quoted(argument: string): string {
  if (PLAIN.test(argument)) return argument;
  const key = KEY.exec(argument)?.[0] ?? "";
  return `${key}'${argument.slice(key.length).replaceAll("'", "'\\''")}'`;
}

/**
 * The command line of a template. Its text is split at spaces into arguments; each value is data, and never more than a part of one
 * argument. Undefined where `shellCommand` has none, and where data is empty or begins with `-`.
 */
export function commandLine(text: readonly string[], ...data: readonly string[]): string | undefined {
  const argv = [""];
  let isRefused = false;
  text.forEach((part, i) => {
    const [first = "", ...more] = part.split(" ");
    argv.push(argv.pop() + first, ...more);
    const value = data[i];
    if (value === undefined) return;
    if (value === "" || value.startsWith("-")) isRefused = true;
    argv.push(argv.pop() + value);
  });
  return isRefused ? undefined : shellCommand(argv);
}
