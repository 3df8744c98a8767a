import type { FlowNode, NodeMeta, Relationship, SnapshotMessage } from "@openova/flow-core";

/** A repeatable source of numbers from 0 up to 1. */
export function randomFrom(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const releases = [
  "cilium", "cert-manager", "flux", "crossplane", "sealed-secrets", "spire", "nats-jetstream", "openbao", "keycloak", "gitea", "powerdns",
  "external-dns", "cnpg", "valkey", "seaweedfs", "harbor", "loki", "mimir", "tempo", "grafana", "alloy", "opentelemetry-operator", "kyverno",
  "trivy-operator", "falco", "syft-grype", "velero", "reloader", "vpa", "keda", "metrics-server", "gateway-api", "coraza", "stalwart",
  "livekit", "librechat", "vllm", "milvus", "neo4j", "ferretdb", "strimzi", "debezium", "flink", "iceberg", "superset", "clickhouse",
  "opensearch", "temporal", "litmus", "netbird", "matrix-synapse", "k8gb", "bge-embeddings", "nemo-guardrails", "langfuse", "openmeter",
  "catalyst-api", "catalyst-ui", "marketplace", "billing",
];
const families = ["network", "security", "storage", "observability", "data", "ai", "apps", "platform"];
const sites = ["hz-fsn", "hz-hel", "oci-fra", "aws-iad", "gcp-zrh"];

export const fleetNow = 1_800_000_000_000;

export interface FleetOptions {
  readonly regions: number;
  readonly perRegion: number;
  readonly seed?: number;
  /** Progress of the rollout, 0 to 1. */
  readonly progress?: number;
}

export function regionName(r: number): string {
  return `${sites[r % sites.length]!}-${Math.floor(r / sites.length) + 1}`;
}

/** A running rollout in several regions: columns of releases with up to three dependencies each, in many display states. */
export function fleet(options: FleetOptions): SnapshotMessage {
  const random = randomFrom(options.seed ?? 7);
  const nodes: FlowNode[] = [];
  const relationships: Relationship[] = [];
  for (let r = 0; r < options.regions; r++) addRegion(regionName(r), options, random, nodes, relationships);
  return { type: "snapshot", flow: { id: "fleet", status: "running", startedAt: fleetNow - 900_000 }, nodes, relationships };
}

function addRegion(region: string, options: FleetOptions, random: () => number, nodes: FlowNode[], relationships: Relationship[]): void {
  const n = options.perRegion;
  nodes.push({ id: region, flowId: "fleet", label: region, status: "running", region, meta: { kind: "Region" } });
  const columns = Math.max(2, Math.min(8, Math.round(Math.sqrt(n))));
  const column = Array.from({ length: n }, (_, i) => (i < 2 ? 0 : 1 + Math.floor(random() * (columns - 1))));
  const front = (options.progress ?? 0.55) * columns;
  const done = new Set<string>();
  for (const c of Array.from({ length: columns }, (_, k) => k)) {
    for (let i = 0; i < n; i++) {
      if (column[i] !== c) continue;
      const name = i < releases.length ? releases[i]! : `${releases[i % releases.length]!}-${Math.floor(i / releases.length) + 1}`;
      const id = `${region}/bp-${name}`;
      const earlier = Array.from({ length: n }, (_, k) => k).filter((k) => column[k]! < c);
      const needs = new Set<number>();
      for (let k = Math.min(earlier.length, 1 + Math.floor(random() * 2.4)); k > 0; k--) {
        const near = earlier.filter((e) => column[e] === c - 1);
        const pool = near.length > 0 && random() < 0.75 ? near : earlier;
        needs.add(pool[Math.floor(random() * pool.length)]!);
      }
      const ids = [...needs].map((k) => `${region}/bp-${k < releases.length ? releases[k]! : `${releases[k % releases.length]!}-${Math.floor(k / releases.length) + 1}`}`);
      for (const from of ids) relationships.push({ fromId: from, toId: id, type: "finish-to-start" });
      relationships.push({ fromId: id, toId: region, type: "contains" });
      const node = release(id, name, region, i, c - front, ids.filter((d) => !done.has(d)), random);
      if (node.status === "succeeded") done.add(id);
      nodes.push(node);
    }
  }
}

function release(id: string, name: string, region: string, i: number, ahead: number, unmet: readonly string[], random: () => number): FlowNode {
  const base = { id, flowId: "fleet", label: `bp-${name}`, region, family: families[i % families.length]! };
  const startedAt = fleetNow - 600_000 + Math.floor(random() * 200_000);
  const versions: NodeMeta = { kind: "HelmRelease", versionWanted: `1.${i % 20}.${i % 7}`, versionApplied: `1.${i % 20}.${i % 7}` };
  if (unmet.length > 0) {
    return { ...base, status: "pending", meta: { ...versions, ready: "False", reason: "DependencyNotReady", waitingFor: unmet, waitingSince: startedAt } };
  }
  const draw = random();
  if (ahead < 0 && draw < 0.92) {
    return { ...base, status: "succeeded", startedAt, endedAt: startedAt + 15_000 + Math.floor(random() * 240_000), meta: { ...versions, ready: "True", reason: "InstallSucceeded" } };
  }
  if (draw < 0.55) return { ...base, status: "running", startedAt: fleetNow - Math.floor(random() * 200_000), meta: { ...versions, reason: "Progressing", action: "install" } };
  if (draw < 0.66) return { ...base, status: "failed", startedAt, endedAt: fleetNow - 9000, meta: { ...versions, ready: "False", reason: "InstallFailed", message: "timed out" } };
  if (draw < 0.7) return { ...base, status: "running", meta: { ...versions, suspended: true } };
  if (draw < 0.73) return { ...base, status: "running", meta: { ...versions, deletingSince: fleetNow - 45_000 } };
  if (draw < 0.9) return { ...base, status: "pending", meta: versions };
  return { ...base, status: "succeeded", startedAt, endedAt: startedAt + 60_000, meta: { ...versions, ready: "True", reason: "InstallSucceeded" } };
}
