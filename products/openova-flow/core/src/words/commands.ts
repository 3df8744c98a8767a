import { metaOf } from "../graph/display.js";
import { SENTENCES } from "./sentences.js";
import { commandLine } from "./shell.js";
import type { FlowNode } from "../contract/types.js";

export interface Command {
  readonly title: string;
  readonly command: string;
}

/**
 * Commands that a person may copy for a HelmRelease or Kustomization; empty for other nodes, and for a name or namespace that is not safe
 * in a shell. With `isInGit`, only a change in Git helps, so there is no retry.
 */
export function commandsFor(node: FlowNode, isInGit = false): readonly Command[] {
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
      : isInGit ? {} : { "Try again now": isRelease ? commandLine`flux reconcile helmrelease ${name} -n ${namespace} --reset` : commandLine`flux reconcile kustomization ${name} -n ${namespace}` }),
  };
  return Object.entries(all).flatMap(([title, command]) => (command === undefined ? [] : [{ title, command }]));
}
