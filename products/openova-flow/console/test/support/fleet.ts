import type { Server } from "./server.ts";

/** Deterministic numbers between 0 and 1. */
function random(seed: number): () => number {
  let s = seed;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

const NAMES = (
  "cilium cert-manager flux crossplane sealed-secrets spire keycloak openbao powerdns external-dns cnpg valkey seaweedfs harbor gitea loki mimir tempo grafana " +
  "opentelemetry nats-jetstream external-secrets kyverno falco trivy velero reloader keda vpa flagger strimzi flink debezium clickhouse opensearch superset milvus " +
  "vllm librechat neo4j temporal litmus coraza netbird stalwart livekit matrix ferretdb k8gb argo-rollouts minio iceberg kserve knative axon catalyst-ui catalyst-api " +
  "marketplace billing console metrics-server"
).split(" ");
const FAMILIES = ["network", "security", "platform", "storage", "observability", "data", "ai", "apps"];
const REGIONS = ["hz-fsn", "hz-hel", "oci-fra", "aws-iad", "gcp-zrh"];

/** A running rollout of about `count` releases, in as many regions as needed. */
export function environment(flow: string, count: number, now: number): readonly string[] {
  const perRegion = Math.min(NAMES.length, count);
  const regions = Math.max(1, Math.round(count / perRegion));
  const lines: string[] = [];
  for (let r = 0; r < regions; r++) {
    const region = regions === 1 ? "hz-fsn-1" : `${REGIONS[r % REGIONS.length]}-${1 + Math.floor(r / REGIONS.length)}`;
    const { nodes, relationships } = kit(flow, region, perRegion, random(r + 7), now, 0.35 + 0.5 * random(r + 3)());
    lines.push(JSON.stringify({ type: "upsert-nodes", nodes }), JSON.stringify({ type: "upsert-rels", relationships }));
  }
  return lines;
}

interface Built {
  readonly id: string;
  readonly status: string;
  readonly endedAt: number;
}

function kit(flow: string, region: string, count: number, next: () => number, now: number, done: number): { nodes: unknown[]; relationships: unknown[] } {
  const begin = now - 860_000;
  const nodes: unknown[] = [{ id: region, flowId: flow, label: region, status: "running", region, meta: { kind: "Region", namespaces: ["*"] } }];
  const relationships: unknown[] = [];
  const built: Built[] = [];
  for (let i = 0; i < count; i++) {
    const label = `bp-${NAMES[i]}`;
    const id = `${region}/${label}`;
    const before = new Set<Built>();
    // Most dependencies are on recent releases, which makes chains.
    for (let k = 0; k < (i === 0 ? 0 : 1 + Math.floor(next() * 1.9)); k++) before.add(built[i < 12 ? Math.floor(next() * Math.min(i, 4)) : Math.max(0, i - 5 - Math.floor(next() * 26))] as Built);
    const ready = [...before].every((b) => b.status === "succeeded");
    const startedAt = Math.max(begin, ...[...before].map((b) => b.endedAt)) + 2000 + Math.floor(next() * 9000);
    const lasts = 12_000 + Math.floor(next() * 80_000);
    const chance = next();
    const status = !ready ? "waiting" : i / count < done ? (chance < 0.02 && i > 8 ? "failed" : "succeeded") : "running";
    const version = next() < 0.06 ? `1.${i % 3}.${(i % 4) + 1}` : `1.${i % 3}.${i % 4}`;
    const meta: Record<string, unknown> = { kind: "HelmRelease", namespace: "flux-system", versionWanted: version, attempts: status === "waiting" ? 0 : 1, generation: 1 };
    const node: Record<string, unknown> = { id, flowId: flow, label, family: FAMILIES[i % FAMILIES.length], region, status: status === "waiting" ? "running" : status, meta };
    let endedAt = now;
    if (status === "waiting") {
      const first = [...before].find((b) => b.status !== "succeeded");
      Object.assign(meta, { ready: "False", reason: "DependencyNotReady", message: `dependency 'flux-system/${first?.id.split("/")[1]}' is not ready`, waitingSince: begin, waitingFor: [first?.id] });
    } else {
      node["startedAt"] = Math.min(startedAt, now - 4000);
      endedAt = Math.min(startedAt + lasts, now - 1000);
      if (status !== "running") node["endedAt"] = endedAt;
      Object.assign(meta, { action: "install", revision: version });
      if (status === "succeeded") Object.assign(meta, { ready: "True", reason: "InstallSucceeded", versionApplied: version });
      if (status === "running") Object.assign(meta, { ready: "Unknown", reason: "Progressing", message: "Running 'install' action with timeout of 5m0s" });
      if (status === "failed") {
        const message = `Helm install failed for release flux-system/${label} with chart ${label}@${version}: context deadline exceeded`;
        Object.assign(meta, { ready: "False", reason: "InstallFailed", message, reasonSince: endedAt, failures: 1 });
      }
    }
    nodes.push(node);
    built.push({ id, status, endedAt });
    relationships.push({ fromId: id, toId: region, type: "contains" });
    for (const b of before) relationships.push({ fromId: b.id, toId: id, type: "finish-to-start", condition: "on-success" });
  }
  return { nodes, relationships };
}

export async function postEnvironment(server: Server, flow: string, count: number): Promise<void> {
  const lines = environment(flow, count, Date.now());
  for (let i = 0; i < lines.length; i += 60) await server.post(flow, lines.slice(i, i + 60));
}
