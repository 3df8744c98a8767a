import { metaOf } from "./display.js";
import { SENTENCES } from "./sentences.js";
import { commandLine } from "./shell.js";
import type { FlowNode } from "./types.js";

export interface Command {
  readonly title: string;
  readonly command: string;
}

/**
 * Commands that a person may copy for a node: look, events, logs, retry, resume. Empty for what is no Flux object, and for one whose name
 * or namespace no shell should be given.
 */
export function commandsFor(node: FlowNode): readonly Command[] {
  const { kind, namespace = "flux-system", suspended } = metaOf(node);
  if (kind !== "HelmRelease" && kind !== "Kustomization") return [];
  const name = node.label;
  const { resource, flux: [flux] } = SENTENCES.kinds[kind];
  const isRelease = kind === "HelmRelease";
  const all = {
    "Show it": commandLine`kubectl -n ${namespace} describe ${resource} ${name}`,
    "Its events": commandLine`kubectl -n ${namespace} events --for ${resource}/${name}`,
    "The controller's log": commandLine`flux logs --kind=${kind} --name=${name} --namespace=${namespace}`,
    ...(isRelease
      ? {
          "Its values": commandLine`flux debug helmrelease ${name} -n ${namespace} --show-values`,
          "Its release history": commandLine`flux debug helmrelease ${name} -n ${namespace} --show-history`,
        }
      : { "What it applied": commandLine`flux tree kustomization ${name} -n ${namespace}` }),
    ...(suspended
      ? { "Resume it": commandLine`flux resume ${flux} ${name} -n ${namespace}` }
      : { "Try again now": isRelease ? commandLine`flux reconcile helmrelease ${name} -n ${namespace} --reset` : commandLine`flux reconcile kustomization ${name} -n ${namespace}` }),
  };
  return Object.entries(all).flatMap(([title, command]) => (command === undefined ? [] : [{ title, command }]));
}
