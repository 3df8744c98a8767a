import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Gives all test processes, and the programs that they start, a temporary folder that is removed at the end of the run. */
export default function scratch(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "openova-flow-console-"));
  process.env["TMPDIR"] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
