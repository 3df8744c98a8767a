/**
 * Sentences and commands for problems that follow from the graph, with `{…}` placeholders: a copy of the server's sentences.json. A test
 * compares them.
 */
export const SENTENCES = {
  classes: {
    "dependency-missing": {
      sentence: "{name} waits for {missing}, which does not exist.",
      command: ["kubectl", "-n", "{missingNamespace}", "get", "{missingResource}", "{missingName}"]
    },
    "dependency-missing-other-kind": {
      sentence: "{name} waits for {missing}, which does not exist. There is a {otherKind} of that name, but a {missingKind} can only wait for a {missingKind}.",
      command: ["kubectl", "-n", "{missingNamespace}", "get", "{missingResource}", "{missingName}"]
    },
    "dependency-cycle": {
      sentence: "{names} wait for each other; none can ever start.",
      command: ["kubectl", "-n", "{namespace}", "get", "{resource}", "{object}", "-o", "jsonpath={.spec.dependsOn}"]
    },
    "dependency-cycle-across": {
      sentence: "Releases of {regions} regions wait for each other; none can ever start: {edges}.",
      command: ["kubectl", "-n", "{namespace}", "get", "{resource}", "{object}", "-o", "jsonpath={.spec.dependsOn}"]
    },
    "dependency-on-itself": {
      sentence: "{name} depends on itself and can never start.",
      command: ["kubectl", "-n", "{namespace}", "get", "{resource}", "{object}", "-o", "jsonpath={.spec.dependsOn}"]
    },
    "ready-expr": {
      sentence: "{name} still waits though all that it depends on is ready ({names}): its readyExpr is not true.",
      command: ["kubectl", "-n", "{namespace}", "get", "{resource}", "{object}", "-o", "jsonpath={.spec.dependsOn}"]
    },
    "dependency-revision": {
      sentence: "{name} is ready, but at another revision than the one that {names} waits for.",
      command: ["flux", "reconcile", "{flux}", "{object}", "-n", "{namespace}"]
    },
    "dependency-ready": {
      sentence: "{name} still waits though all that it depends on is ready ({names}).",
      command: ["flux", "reconcile", "{flux}", "{object}", "-n", "{namespace}"]
    },
    suspended: {
      sentence: "{name} is suspended and not ready, and others wait for it.",
      command: ["flux", "resume", "{flux}", "{object}", "-n", "{namespace}"]
    },
    "suspended-not-observed": {
      sentence: "{name} is suspended, and its last change has not been applied.",
      command: ["flux", "resume", "{flux}", "{object}", "-n", "{namespace}"]
    },
    terminating: {
      sentence: "{name} is still being deleted after five minutes."
    }
  },
  kinds: {
    HelmRelease: { resource: "helmrelease", flux: ["helmrelease"] },
    Kustomization: { resource: "kustomizations.kustomize.toolkit.fluxcd.io", flux: ["kustomization"] },
    GitRepository: { resource: "gitrepositories.source.toolkit.fluxcd.io", flux: ["source", "git"] },
    OCIRepository: { resource: "ocirepositories.source.toolkit.fluxcd.io", flux: ["source", "oci"] },
    HelmRepository: { resource: "helmrepositories.source.toolkit.fluxcd.io", flux: ["source", "helm"] },
    Bucket: { resource: "buckets.source.toolkit.fluxcd.io", flux: ["source", "bucket"] }
  }
};
