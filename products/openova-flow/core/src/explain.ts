import { causeOf } from "./causes.js";
import { COMMANDS, subjectOf } from "./commands.js";
import type { FluxMeta } from "./types.js";

export interface Explanation {
  /** One plain sentence; for an unknown reason the reason and message as they came. */
  readonly sentence: string;
  /** The next command to run; absent when there is nothing useful. */
  readonly command?: string;
  /** False when reason and message are not known. */
  readonly known: boolean;
}

/** What a reason says, as a clause, and which command helps with it. */
type Known = readonly [clause: string, next?: keyof typeof COMMANDS];

const REASONS: Readonly<Record<string, Known>> = {
  InstallSucceeded: ["is installed"],
  UpgradeSucceeded: ["is upgraded"],
  TestSucceeded: ["is installed and its tests passed"],
  RollbackSucceeded: ["failed to upgrade and was rolled back to the release before", "history"],
  UninstallSucceeded: ["is uninstalled"],
  InstallFailed: ["could not be installed", "look"],
  UpgradeFailed: ["could not be upgraded", "look"],
  TestFailed: ["is deployed, but its tests failed", "logs"],
  RollbackFailed: ["could not be rolled back to the release before", "history"],
  UninstallFailed: ["could not be uninstalled", "look"],
  RetriesExceeded: ["failed as often as it may; Flux tries no more until it changes or is reset", "retry"],
  RetriesExhausted: ["failed as often as it may; Flux tries no more until it changes or is reset", "retry"],
  ArtifactFailed: ["cannot load its source", "source"],
  SourceNotReady: ["waits for a source that is not ready", "source"],
  DependencyNotReady: ["waits for a dependency", "deps"],
  ValuesError: ["cannot put its values together", "look"],
  ChartMutateError: ["cannot change the chart's metadata as its spec asks", "logs"],
  DriftDetected: ["differs in the cluster from what was deployed", "history"],
  NoDriftDetected: ["is in the cluster as it was deployed"],
  Progressing: ["is being worked on"],
  ProgressingWithRetry: ["failed and is tried again", "look"],
  AwaitingTests: ["is deployed and waits for its tests"],
  RESTClientError: ["cannot be deployed because no client for the target cluster could be made", "look"],
  FactoryError: ["cannot be deployed because Helm could not be set up for it", "controller"],
  StateError: ["is in a state that the controller cannot tell", "history"],
  ReconcileError: ["could not be reconciled", "logs"],
  MissingRollbackTarget: ["failed, and there is no earlier release to roll back to", "history"],
  PendingRelease: ["is locked by a Helm operation that did not end", "history"],
  AccessDenied: ["refers across namespaces, which this cluster does not allow", "look"],
  HealthCheckCanceled: ["changed while its health was being checked; the check starts again"],
  HealthCheckFailed: ["was applied, but what it applied is not healthy", "look"],
  InvalidCELExpression: ["has a health check expression that is not valid", "look"],
  InitFailed: ["could not be set up", "look"],
  GetLastReleaseFailed: ["has a release history that could not be read", "history"],
  ReconciliationSucceeded: ["is applied"],
  ReconciliationFailed: ["could not be applied", "look"],
  BuildFailed: ["has manifests that could not be built", "look"],
  PruneFailed: ["could not remove what is no longer in its source", "look"],
  ChartPullSucceeded: ["has its chart"],
  NewChart: ["gets a new chart"],
  InvalidChartReference: ["names a chart that its repository does not offer", "source"],
  NoSourceArtifact: ["has a chart source that has fetched nothing yet", "source"],
};

const SOURCE_REASONS: ReadonlySet<string> = new Set(["SourceNotReady", "ArtifactFailed"]);
const GAVE_UP: ReadonlySet<string> = new Set(["RetriesExceeded", "RetriesExhausted"]);

/** What a reason and message of Flux, Helm or the API server mean, and what to run next. */
export function explain(reason: string, message: string, meta: FluxMeta = {}, label = ""): Explanation {
  const subject = subjectOf(meta, label);
  const known = Object.hasOwn(REASONS, reason) ? REASONS[reason] : undefined;
  const cause = causeOf(deepest(reason, message, meta));
  const gaveUp = !GAVE_UP.has(reason) && GAVE_UP.has(meta.stalledReason ?? "");
  const own = gaveUp ? "retry" : known === undefined ? "look" : known[1];
  // Without a label there is no object to name; what the message names is named all the same.
  const command = cause?.command ?? (own === undefined || label === "" ? undefined : COMMANDS[own](subject));
  const next = command === undefined ? {} : { command };
  if (known === undefined && cause === null) {
    return { sentence: [reason, message].filter((s) => s !== "").join(": "), known: false, ...next };
  }
  const clause = known?.[0] ?? `reports ${reason}`;
  const said = `${label === "" ? "It" : label} ${clause}${cause === null ? "" : `: ${cause.why}`}`;
  const sentence = /[.…]$/.test(said) ? said : `${said}.`;
  return { sentence: gaveUp ? `${sentence} Flux has given up on it${attempts(meta)}.` : sentence, known: true, ...next };
}

/** The message that says most: for a source that is not ready, that of the chart or the source itself. */
function deepest(reason: string, message: string, meta: FluxMeta): string {
  if (!SOURCE_REASONS.has(reason)) return message;
  for (const part of [meta.source, meta.chart]) {
    if (part?.ready !== undefined && part.ready !== "True" && part.message !== undefined && causeOf(part.message) !== null) return part.message;
  }
  return message;
}

function attempts(meta: FluxMeta): string {
  const n = /after (\d+) attempt/.exec(meta.stalledMessage ?? "")?.[1] ?? meta.attempts;
  return n === undefined ? "" : ` after ${n} attempt${String(n) === "1" ? "" : "s"}`;
}
