import { duration, judgedAt, judgementOf, keyOf, metaOf, usually, type DisplayState, type FlowNode, type Usual } from "@openova/flow-core";

/** What a caption depends on besides its node. */
export interface CaptionContext {
  readonly now: number;
  name(id: string): string;
  exists(id: string): boolean;
  /** Usual durations of releases, by key. */
  readonly usual?: ReadonlyMap<string, Usual>;
}

const doing: Readonly<Record<string, string>> = {
  install: "installing",
  upgrade: "upgrading",
  rollback: "rolling back",
  uninstall: "uninstalling",
  test: "testing",
};

function waiting(ids: readonly string[], context: CaptionContext): string {
  const [first, ...more] = ids;
  if (first === undefined) return "waiting";
  const name = context.name(first);
  return more.length > 0 ? `waiting for ${name} +${more.length}` : `waiting for ${name}`;
}

/** The second line of a card: the most important fact about the node. */
export function caption(node: FlowNode, display: DisplayState, context: CaptionContext): string {
  const meta = metaOf(node);
  switch (display) {
    case "terminating":
      return meta.deletingSince === undefined ? "deleting" : `deleting for ${duration(context.now - meta.deletingSince)}`;
    case "unconfirmed":
      return "not reported again yet";
    case "broken": {
      const absent = meta.waitingFor?.find((id) => !context.exists(id));
      if (node.status !== "failed" && absent !== undefined) return `needs ${context.name(absent)}: missing`;
      const { class: cause } = judgedAt(judgementOf(node), context.now);
      return cause === "" || cause === "failed" ? (meta.reason ?? "failed") : cause.replaceAll("-", " ");
    }
    case "suspended":
      return "suspended";
    case "waiting":
      return waiting(meta.waitingFor ?? [], context);
    case "working": {
      const verb = meta.action === undefined ? undefined : doing[meta.action];
      const usual = context.usual?.get(keyOf(node));
      const time = node.startedAt === undefined ? undefined : duration(context.now - node.startedAt);
      // The duration to compare comes first: a narrow card cuts off the rest.
      const parts = usual === undefined || time === undefined ? [verb, time] : [`${time}, ${usually(usual)}`, verb];
      return parts.filter((part) => part !== undefined).join(" · ") || meta.reason || "working";
    }
    case "not-started":
      return meta.reason ?? "not started";
    case "ready": {
      const ms = node.endedAt !== undefined && meta.startedAtIsLowerBound !== true ? node.endedAt - (node.startedAt ?? node.endedAt) : 0;
      const usual = context.usual?.get(keyOf(node));
      const took = ms <= 0 ? undefined : usual !== undefined && ms > usual.most ? `${duration(ms)}, ${usually(usual)}` : duration(ms);
      return [meta.versionApplied, took].filter((part) => part !== undefined).join(" · ") || "ready";
    }
  }
}

/** Whether the caption shows a running time. */
export function captionTicks(node: FlowNode, display: DisplayState): boolean {
  return (display === "working" && node.startedAt !== undefined) || (display === "terminating" && metaOf(node).deletingSince !== undefined);
}
