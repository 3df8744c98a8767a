import { metaOf } from "./display.js";
import { commandLine } from "./shell.js";
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

/** Commands by purpose; undefined for an object that no command can safely name. */
export const COMMANDS = {
  look: (o: Subject) => commandLine`kubectl -n ${o.namespace} describe ${o.resource} ${o.name}`,
  events: (o: Subject) => commandLine`kubectl -n ${o.namespace} events --for ${o.resource}/${o.name}`,
  retry: (o: Subject) =>
    o.kind === "HelmRelease" ? commandLine`flux reconcile helmrelease ${o.name} -n ${o.namespace} --reset` : commandLine`flux reconcile kustomization ${o.name} -n ${o.namespace}`,
  resume: (o: Subject) => commandLine`flux resume ${o.flux} ${o.name} -n ${o.namespace}`,
  logs: (o: Subject) => commandLine`flux logs --kind=${o.kind} --name=${o.name} --namespace=${o.namespace}`,
  history: (o: Subject) => commandLine`flux debug helmrelease ${o.name} -n ${o.namespace} --show-history`,
  values: (o: Subject) => commandLine`flux debug helmrelease ${o.name} -n ${o.namespace} --show-values`,
  tree: (o: Subject) => commandLine`flux tree kustomization ${o.name} -n ${o.namespace}`,
} satisfies Record<string, (o: Subject) => string | undefined>;

export interface Command {
  readonly title: string;
  readonly command: string;
}

/**
 * Commands that a person may copy for a node: look, events, logs, retry, resume. Empty for what is no Flux object, and for one whose name
 * or namespace no shell should be given.
 */
export function commandsFor(node: FlowNode): readonly Command[] {
  const meta = metaOf(node);
  if (meta.kind !== "HelmRelease" && meta.kind !== "Kustomization") return [];
  const o = subjectOf(meta, node.label);
  const all = {
    "Show it": COMMANDS.look(o),
    "Its events": COMMANDS.events(o),
    "The controller's log": COMMANDS.logs(o),
    ...(meta.kind === "HelmRelease"
      ? { "Its values": COMMANDS.values(o), "Its release history": COMMANDS.history(o) }
      : { "What it applied": COMMANDS.tree(o) }),
    ...(meta.suspended ? { "Resume it": COMMANDS.resume(o) } : { "Try again now": COMMANDS.retry(o) }),
  };
  return Object.entries(all).flatMap(([title, command]) => (command === undefined ? [] : [{ title, command }]));
}
