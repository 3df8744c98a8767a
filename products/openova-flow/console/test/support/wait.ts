import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program } from "./server.ts";

export interface Waited {
  readonly exit: number | null;
  /** Paths of its output files. */
  readonly report: string;
  readonly junit: string;
  readonly markdown: string;
}

/** Runs the program's `wait` with a timeout of five seconds. */
export async function wait(url: string, flow: string, ...flags: readonly string[]): Promise<Waited> {
  const folder = mkdtempSync(join(tmpdir(), "wait-"));
  const files = { report: join(folder, "report.html"), junit: join(folder, "junit.xml"), markdown: join(folder, "summary.md") };
  const outputs = Object.entries(files).flatMap(([name, file]) => [`--${name}`, file]);
  const child = spawn(program(), ["wait", "--url", url, "--flow", flow, "--timeout", "5s", "--settle", "0s", ...outputs, ...flags], { stdio: "ignore" });
  return { exit: await new Promise((resolve) => child.once("exit", resolve)), ...files };
}
