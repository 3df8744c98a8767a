import { metaOf } from "./display.js";
import type { FlowNode, FluxMeta } from "./types.js";

/** A Flux object as the command line names it. */
export interface Subject {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** What kubectl calls the kind; in full where other API groups have a kind of that name. */
  readonly resource: string;
  /** What flux calls the kind. */
  readonly flux: string;
}

export function subjectOf(meta: FluxMeta, name: string): Subject {
  const kind = meta.kind === "Kustomization" ? "Kustomization" : "HelmRelease";
  return {
    kind,
    namespace: meta.namespace ?? "flux-system",
    name,
    resource: kind === "Kustomization" ? "kustomizations.kustomize.toolkit.fluxcd.io" : "helmrelease",
    flux: kind.toLowerCase(),
  };
}

/** Commands by purpose. */
export const COMMANDS = {
  look: (o: Subject) => `kubectl -n ${o.namespace} describe ${o.resource} ${o.name}`,
  get: (o: Subject) => `kubectl -n ${o.namespace} get ${o.resource} ${o.name}`,
  events: (o: Subject) => `kubectl -n ${o.namespace} events --for ${o.resource}/${o.name}`,
  retry: (o: Subject) => `flux reconcile ${o.flux} ${o.name} -n ${o.namespace}${o.flux === "helmrelease" ? " --reset" : ""}`,
  resume: (o: Subject) => `flux resume ${o.flux} ${o.name} -n ${o.namespace}`,
  logs: (o: Subject) => `flux logs --kind=${o.kind} --name=${o.name} --namespace=${o.namespace}`,
  history: (o: Subject) => `flux debug helmrelease ${o.name} -n ${o.namespace} --show-history`,
  values: (o: Subject) => `flux debug helmrelease ${o.name} -n ${o.namespace} --show-values`,
  tree: (o: Subject) => `flux tree kustomization ${o.name} -n ${o.namespace}`,
  source: (o: Subject) => `flux get sources all -n ${o.namespace}`,
  deps: (o: Subject) => `kubectl -n ${o.namespace} get ${o.resource}`,
  dependsOn: (o: Subject) => `kubectl -n ${o.namespace} get ${o.resource} ${o.name} -o jsonpath='{.spec.dependsOn}'`,
  controller: () => "kubectl -n flux-system logs deployment/helm-controller --tail=100",
} satisfies Record<string, (o: Subject) => string>;

export interface Command {
  readonly title: string;
  readonly command: string;
}

/** Commands that a person may copy for a node: look, events, logs, retry, resume. Empty for what is no Flux object. */
export function commandsFor(node: FlowNode): readonly Command[] {
  const meta = metaOf(node);
  if (meta.kind !== "HelmRelease" && meta.kind !== "Kustomization") return [];
  const o = subjectOf(meta, node.label);
  return [
    { title: "Show it", command: COMMANDS.look(o) },
    { title: "Its events", command: COMMANDS.events(o) },
    { title: "The controller's log", command: COMMANDS.logs(o) },
    ...(meta.kind === "HelmRelease"
      ? [
          { title: "Its values", command: COMMANDS.values(o) },
          { title: "Its release history", command: COMMANDS.history(o) },
        ]
      : [{ title: "What it applied", command: COMMANDS.tree(o) }]),
    meta.suspended ? { title: "Resume it", command: COMMANDS.resume(o) } : { title: "Try again now", command: COMMANDS.retry(o) },
  ];
}
