import { nodes, regionNode, release } from "./release.ts";
import type { Server } from "./server.ts";

const MINUTE = 60_000;

/** One region of a flow that is deployed from Git: a source with its Kustomizations and releases, as an adapter reports them. */
export class Cluster {
  readonly flow: string;
  readonly region: string;
  readonly name: string;

  constructor(flow: string, region: string, name = "apps") {
    this.flow = flow;
    this.region = region;
    this.name = name;
  }

  /** `at`: when the source got the revision; by default when the server receives it. */
  source(revision: string, at?: number, url = `https://github.com/o/${this.name}`): Readonly<Record<string, unknown>> {
    const meta = { kind: "GitRepository", auxiliary: true, namespace: "flux-system", url, ref: "branch main", revision, updatedAt: at, ready: "True", generation: 1, observedGeneration: 1 };
    return { id: `${this.region}/GitRepository/flux-system/${this.name}`, flowId: this.flow, label: this.name, region: this.region, status: "succeeded", meta };
  }

  kustomization(name: string, attempted: string, applied: string, startedAt: number, endedAt?: number): Readonly<Record<string, unknown>> {
    const sourceId = `${this.region}/GitRepository/flux-system/${this.name}`;
    const state = endedAt === undefined ? "working" : "ready";
    const meta = {
      kind: "Kustomization",
      namespace: "flux-system",
      attemptedRevision: attempted,
      revision: applied,
      ...(endedAt === undefined ? {} : { readyRevision: applied, readySince: endedAt }),
      source: { kind: "GitRepository", namespace: "flux-system", name: this.name },
      judgement: { state, since: endedAt ?? startedAt, cause: { class: state, sentence: "" }, source: sourceId },
    };
    return { id: `${this.region}/Kustomization/flux-system/${name}`, flowId: this.flow, label: name, region: this.region, status: endedAt === undefined ? "running" : "succeeded", startedAt, ...(endedAt === undefined ? {} : { endedAt }), meta };
  }

  release(name: string, by: string, generation: number, status: "running" | "succeeded" | "failed", startedAt: number, endedAt?: number): Readonly<Record<string, unknown>> {
    return release({ flow: this.flow, region: this.region, namespace: "apps", name, status, startedAt, ...(endedAt === undefined ? {} : { endedAt }), meta: { generation, observedGeneration: generation, appliedBy: `${this.region}/Kustomization/flux-system/${by}` } });
  }

  /** All nodes at one revision, which the source got at `at`. They are ready 20 seconds later. */
  settled(revision: string, at: number): readonly Readonly<Record<string, unknown>>[] {
    const end = at + 20_000;
    return [
      this.source(revision, at),
      this.kustomization("infra", revision, revision, at + 1000, end),
      this.kustomization("web", revision, revision, at + 1000, end),
      this.release("api", "web", 1, "succeeded", at + 2000, end),
      this.release("db", "web", 1, "succeeded", at + 2000, end),
    ];
  }
}

export const REGIONS = ["ash", "fsn1", "gru1", "hel1", "nbg1", "sin", "waw1"] as const;

/** Posts a push of revision `b`, with each region at another point of its rollout. All regions had `a` before, and one has already fetched `c`. */
export async function push(server: Server, flow: string, a: string, b: string, c: string): Promise<void> {
  const now = Date.now();
  const of = Object.fromEntries(REGIONS.map((r) => [r, new Cluster(flow, r)])) as Record<(typeof REGIONS)[number], Cluster>;
  const post = (...all: readonly unknown[]): Promise<void> => server.post(flow, [nodes(...all)]);
  const { fsn1, gru1, hel1, nbg1, sin, waw1 } = of;
  for (const cluster of Object.values(of)) await post(regionNode(flow, cluster.region), ...cluster.settled(a, now - 10 * MINUTE));
  const at = now - 2 * MINUTE;
  for (const cluster of [fsn1, gru1, hel1, nbg1, sin, waw1]) await post(cluster.source(b, at));
  for (const cluster of [gru1, hel1, nbg1, sin, waw1]) await post(cluster.kustomization("infra", b, b, at + 1000, at + 5000), cluster.kustomization("web", b, a, at + 1000));
  for (const cluster of [hel1, nbg1, sin]) {
    await post(cluster.kustomization("web", b, b, at + 1000, at + 9000));
    await post(cluster.release("api", "web", 2, "running", at + 8000), cluster.release("db", "web", 2, "running", at + 8000));
  }
  await post(hel1.release("db", "web", 2, "succeeded", at + 8000, at + 30_000));
  for (const cluster of [nbg1, sin]) await post(cluster.release("api", "web", 2, "succeeded", at + 8000, at + 42_000));
  await post(nbg1.release("db", "web", 2, "succeeded", at + 8000, at + 42_000));
  await post(sin.release("db", "web", 2, "failed", at + 8000, at + 40_000));
  await post(waw1.source(c, now - MINUTE));
}
