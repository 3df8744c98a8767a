import type { Problem, Rollout } from "@openova/flow-core";
import { duration, plural, words } from "./format.js";

/** Escapes Markdown and joins lines, so that a chat shows the text as it is, on one line. */
export function escaped(text: string): string {
  return text.replace(/[\\`*_~<>[\]|#]/g, "\\$&").replace(/\s*\n\s*/g, " ");
}

function code(text: string): string {
  const fence = "`".repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map((m) => m[0].length + 1)));
  return `${fence}\n${text}\n${fence}`;
}

/** An instant in UTC, to the second: 2026-11-30 15:04:05 UTC. */
export function instant(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** A problem for an incident channel. `link` leads to it. */
export function problemMarkdown(p: Problem, flowId: string, link: string): string {
  const facts = [
    p.blocks.length > 0 ? `blocks ${plural(p.blocks.length, "release")}${p.blocksMore === true ? " or more" : ""}` : "",
    p.since === undefined ? "" : `since ${instant(p.since)}`,
  ].filter((t) => t !== "");
  return [
    `**${escaped(p.name)}** in ${escaped(flowId)}: ${escaped(words(p.reason))}${facts.length > 0 ? ` (${facts.join(", ")})` : ""}`,
    escaped(p.sentence),
    ...(p.command === undefined ? [] : [code(p.command)]),
    link,
  ].join("\n");
}

/** A rollout for an incident channel: outcome, failures, changed versions. */
export function rolloutMarkdown(r: Rollout, nameOf: (id: string) => string, flowId: string, link: string): string {
  const failed = r.members.filter((m) => m.status === "failed");
  const changed = r.members.filter((m) => m.versionTo !== undefined && m.versionFrom !== m.versionTo);
  const took = r.endedAt === undefined ? "still running" : `took ${duration(r.endedAt - r.startedAt)}`;
  return [
    `**Rollout of ${escaped(flowId)}**: ${r.outcome}, ${plural(r.members.length, "release")}, began ${instant(r.startedAt)}, ${took}`,
    ...(failed.length > 0 ? [`Failed: ${failed.map((m) => escaped(nameOf(m.id))).join(", ")}`] : []),
    ...changed.map((m) => `- ${escaped(nameOf(m.id))} ${m.versionFrom === undefined ? escaped(m.versionTo ?? "") : `${escaped(m.versionFrom)} → ${escaped(m.versionTo ?? "")}`}`),
    link,
  ].join("\n");
}
