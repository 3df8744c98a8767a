import { judgedAt, judgementOf, metaOf, type DisplayState, type FlowNode } from "@openova/flow-core";
import { duration } from "./text.js";

/** What a caption needs besides the node. */
export interface CaptionContext {
  readonly now: number;
  /** What it was when its region was last heard of, where that is no longer so. */
  readonly was?: DisplayState | undefined;
  label(id: string): string | undefined;
}

const doing: Readonly<Record<string, string>> = {
  install: "installing",
  upgrade: "upgrading",
  rollback: "rolling back",
  uninstall: "uninstalling",
  test: "testing",
};

/** The last part of an id such as `fsn1/bp-cert-manager`, for a node that is not there to tell its label. */
function shortId(id: string): string {
  return id.slice(id.lastIndexOf("/") + 1) || id;
}

function waiting(ids: readonly string[], context: CaptionContext): string {
  const [first, ...more] = ids;
  if (first === undefined) return "waiting";
  const name = context.label(first) ?? shortId(first);
  return more.length > 0 ? `waiting for ${name} +${more.length}` : `waiting for ${name}`;
}

/** The card's second line: what matters about the node now. */
export function caption(node: FlowNode, display: DisplayState, context: CaptionContext): string {
  const meta = metaOf(node);
  switch (display) {
    case "terminating":
      return meta.deletingSince === undefined ? "deleting" : `deleting for ${duration(context.now - meta.deletingSince)}`;
    case "unconfirmed":
      return context.was === undefined ? "not heard of again" : `was ${context.was.replace("-", " ")}`;
    case "broken": {
      const absent = meta.waitingFor?.find((id) => context.label(id) === undefined);
      if (node.status !== "failed" && absent !== undefined) return `needs ${shortId(absent)}: missing`;
      const { class: cause } = judgedAt(judgementOf(node), context.now);
      return cause === "" || cause === "failed" ? (meta.reason ?? "failed") : cause.replaceAll("-", " ");
    }
    case "suspended":
      return "suspended";
    case "waiting":
      return waiting(meta.waitingFor ?? [], context);
    case "working": {
      const verb = meta.action === undefined ? undefined : doing[meta.action];
      const time = node.startedAt === undefined ? undefined : duration(context.now - node.startedAt);
      return [verb, time].filter((part) => part !== undefined).join(" · ") || meta.reason || "working";
    }
    case "not-started":
      return meta.reason ?? "not started";
    case "ready": {
      const took = node.startedAt !== undefined && node.endedAt !== undefined && node.endedAt > node.startedAt && meta.startedAtIsLowerBound !== true
        ? duration(node.endedAt - node.startedAt)
        : undefined;
      return [meta.versionApplied, took].filter((part) => part !== undefined).join(" · ") || "ready";
    }
  }
}

/** True when the caption counts time, so that it has to be written anew each second. */
export function captionTicks(node: FlowNode, display: DisplayState): boolean {
  return (display === "working" && node.startedAt !== undefined) || (display === "terminating" && metaOf(node).deletingSince !== undefined);
}
