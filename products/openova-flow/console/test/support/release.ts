export interface Release {
  readonly flow: string;
  readonly region: string;
  readonly namespace?: string;
  readonly name: string;
  readonly status: "running" | "succeeded" | "failed";
  readonly startedAt?: number;
  readonly endedAt?: number;
  readonly version?: string;
  readonly waitingFor?: readonly string[];
  readonly meta?: Readonly<Record<string, unknown>>;
}

/** A HelmRelease as an adapter reports it, but without a judgement unless `meta` has one. */
export function release({ flow, region, namespace = "flux-system", name, status, startedAt, endedAt, version = "1.0.0", waitingFor, meta }: Release): Readonly<Record<string, unknown>> {
  const id = namespace === "flux-system" ? `${region}/${name}` : `${region}/${namespace}/${name}`;
  const facts = {
    running: waitingFor === undefined ? { ready: "Unknown", reason: "Progressing" } : { ready: "False", reason: "DependencyNotReady", waitingFor, waitingSince: Date.now() - 5000 },
    succeeded: { ready: "True", reason: "InstallSucceeded", versionApplied: version },
    failed: { ready: "False", reason: "InstallFailed", message: "context deadline exceeded" },
  }[status];
  return {
    id, flowId: flow, label: name, region, status,
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(endedAt === undefined ? {} : { endedAt }),
    meta: { kind: "HelmRelease", namespace, versionWanted: version, generation: 1, observedGeneration: 1, ...facts, ...meta },
  };
}

export function regionNode(flow: string, region: string, meta: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return { id: region, flowId: flow, label: region, region, status: "running", meta: { kind: "Region", namespaces: ["*"], ...meta } };
}

export const nodes = (...all: readonly unknown[]): string => JSON.stringify({ type: "upsert-nodes", nodes: all });
export const needs = (...pairs: readonly (readonly [from: string, to: string])[]): string =>
  JSON.stringify({ type: "upsert-rels", relationships: pairs.map(([fromId, toId]) => ({ fromId, toId, type: "finish-to-start" })) });

/** Releases in each state except unconfirmed, in several regions, families and namespaces, with long and equal names. */
export function everyState(flow: string): string {
  const at = Date.now() - 60_000;
  const part = (region: string, namespace: string): readonly unknown[] => [
    release({ flow, region, namespace, name: "broken", status: "failed", startedAt: at, endedAt: at + 5000, meta: { stalled: true, stalledReason: "RetriesExceeded", reasonSince: at } }),
    release({ flow, region, namespace, name: "removed", status: "running", meta: { deletingSince: at, finalizers: ["finalizers.fluxcd.io"] } }),
    release({ flow, region, namespace, name: "waiting-for-what-is-broken-with-a-long-name", status: "running", waitingFor: [`${region}/${namespace}/broken`] }),
    release({ flow, region, namespace, name: "working", status: "running", startedAt: at }),
    { ...release({ flow, region, namespace, name: "not-started", status: "running" }), status: "pending" },
    release({ flow, region, namespace, name: "suspended", status: "succeeded", startedAt: at, endedAt: at + 1000, meta: { suspended: true } }),
    release({ flow, region, namespace, name: "ready", status: "succeeded", startedAt: at, endedAt: at + 2000 }),
  ];
  const all = [regionNode(flow, "r1"), regionNode(flow, "r2"), ...part("r1", "team-a"), ...part("r1", "team-b"), ...part("r2", "team-a")];
  return nodes(...all.map((n, i) => ({ ...(n as object), family: `family-${i % 3}` })));
}
