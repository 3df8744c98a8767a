import { commandLine } from "./shell.js";

/** What a message of Helm, Flux or the API server boils down to. */
export interface Cause {
  /** A clause without a full stop. */
  readonly why: string;
  /** Absent too where what the message names is unfit for a shell. */
  readonly command?: string;
}
type Groups = readonly string[];
type Rule = readonly [pattern: RegExp, why: (g: Groups) => string, command?: (g: Groups) => string | undefined];

const lower = (s: string | undefined): string => (s ?? "").toLowerCase();

// The first that matches wins: what names an object goes before what names only a kind of trouble.
const RULES: readonly Rule[] = [
  [
    /timeout waiting for: \[(\w+)\/([\w.-]+)\/([\w.-]+) status: '(\w+)'/,
    (g) => `${g[1]} ${g[2]}/${g[3]} did not become ready in time (it is ${g[4]})`,
    (g) => commandLine`kubectl -n ${g[2]} describe ${lower(g[1])} ${g[3]}`,
  ],
  [
    /execution error at \(([^)]+)\): (.+)/,
    (g) => `a template of the chart stopped with "${g[2]}" (${g[1]}), so a value is missing or wrong`,
  ],
  [/template: ([^:]+:\d+(?::\d+)?):.*?: (.+)/, (g) => `a template of the chart is broken at ${g[1]}: ${g[2]}`],
  [/values don't meet the specifications of the schema[\s\S]*?:\s*([\s\S]+)/, (g) => `its values break the chart's schema: ${squeeze(g[1])}`],
  [
    /failed to create typed patch object \(([^;)]+);[^)]*Kind=(\w+)\): (\S+): expected ([^,]+)/,
    (g) => `the API server refused ${g[2]} ${g[1]}: ${g[3]} has the wrong type, ${g[4]} is expected`,
  ],
  [
    /(\w+)(?:\.[\w.-]+)? "([^"]+)" is invalid: ([\w.[\]-]+): (.+)/,
    (g) => `the API server refused ${g[1]} ${g[2]} because of ${g[3]}: ${shorten(g[4])}`,
  ],
  [
    /could not resolve (ConfigMap|Secret) chart values reference '([^'/]+)\/([^']+)' with key '([^']+)': .* not found/,
    (g) => `${g[1]} ${g[2]}/${g[3]}, which should hold its values, does not exist`,
    (g) => commandLine`kubectl -n ${g[2]} get ${lower(g[1])} ${g[3]}`,
  ],
  [
    /could not resolve (ConfigMap|Secret) chart values reference '([^'/]+)\/([^']+)' with key '([^']+)'/,
    (g) => `${g[1]} ${g[2]}/${g[3]} has no usable key ${g[4]}`,
    (g) => commandLine`kubectl -n ${g[2]} describe ${lower(g[1])} ${g[3]}`,
  ],
  [
    /could not get Source object: (\w+)[\w.]* "([^"]+)" not found/,
    (g) => `${g[1]} ${g[2]}, which it names as its source, does not exist`,
    (g) => commandLine`kubectl get ${lower(g[1])} -A`,
  ],
  [
    /no artifact available for (\w+) source '([^']+)'/,
    (g) => `${g[1]} ${g[2]} has never been fetched`,
    () => commandLine`flux get sources all -A`,
  ],
  [/no chart name found|no chart version found|chart .* not found in/, () => "its repository has no chart of that name and version", () => commandLine`flux get sources chart -A`],
  [/latest generation of object has not been reconciled/, () => "the source is new and has not been looked at yet"],
  [
    /(?:unable to get|dependency) '([^'/]+)\/([^']+)'.*not found/,
    (g) => `${g[1]}/${g[2]} does not exist`,
    (g) => commandLine`kubectl -n ${g[1]} get helmrelease ${g[2]}`,
  ],
  [
    /dependency '([^'/]+)\/([^']+)' is not ready/,
    (g) => `${g[1]}/${g[2]} is not ready`,
    (g) => commandLine`kubectl -n ${g[1]} describe helmrelease ${g[2]}`,
  ],
  [
    /failed calling webhook "([^"]+)"/,
    (g) => `the admission webhook ${g[1]} does not answer`,
    () => commandLine`kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations`,
  ],
  [/admission webhook "([^"]+)" denied the request: (.+)/, (g) => `the admission webhook ${g[1]} refused it: ${shorten(g[2])}`],
  [/no matches for kind "([^"]+)" in version "([^"]+)"/, (g) => `the cluster does not know ${g[1]} of ${g[2]}; its CRD is not installed`, () => commandLine`kubectl get crds`],
  [/User "([^"]+)" cannot (\w+) resource "([^"]+)"/, (g) => `${g[1]} may not ${g[2]} ${g[3]}`, (g) => commandLine`kubectl auth can-i ${g[2]} ${g[3]} --as=${g[1]}`],
  [/exceeded quota: ([\w.-]+)/, (g) => `the quota ${g[1]} is used up`, () => commandLine`kubectl get resourcequota -A`],
  [/namespaces? "([^"]+)" not found/, (g) => `the namespace ${g[1]} does not exist`, (g) => commandLine`kubectl get namespace ${g[1]}`],
  [/field is immutable/, () => "a field changes that cannot be changed in place; the object must be replaced"],
  [/invalid ownership metadata|cannot be imported into the current release/, () => "an object of that name exists and belongs to something else"],
  [/another operation .* is in progress/, () => "another Helm operation holds the release"],
  [/has no deployed releases/, () => "no release of it has ever been deployed, so there is nothing to upgrade"],
  [/x509: (.+)/, (g) => `a TLS certificate is not trusted (${shorten(g[1])})`],
  [/no such host/, () => "the host name of its source does not resolve"],
  [/connection refused/, () => "the connection was refused"],
  [/\b401\b|[Uu]nauthorized|authentication required/, () => "the credentials are missing or were refused"],
  [/\b403\b|[Ff]orbidden/, () => "access was refused"],
  [/\b404\b|manifest unknown|MANIFEST_UNKNOWN/, () => "it is not in the registry or repository"],
  [/\b429\b|[Tt]oo [Mm]any [Rr]equests/, () => "the other side asked for fewer requests"],
  [/etcdserver: request timed out|the server is currently unable to handle the request/, () => "the API server was overloaded", () => commandLine`kubectl get --raw=/readyz?verbose`],
  [/context deadline exceeded|would exceed context deadline|timed out waiting|i\/o timeout/, () => "it did not finish in time"],
];

/** As much of a message is looked at: some patterns take the square of its length. */
const READ = 4096;

/** The cause that a message names; null when the message is not known. */
export function causeOf(whole: string): Cause | null {
  const message = whole.slice(0, READ);
  for (const [pattern, why, command] of RULES) {
    const g = pattern.exec(message);
    if (g === null) continue;
    const line = command?.(g);
    return line === undefined ? { why: why(g) } : { why: why(g), command: line };
  }
  return null;
}

function squeeze(s = ""): string {
  return shorten(s.replace(/\s+/g, " ").trim());
}

const MOST = 160;

/** Cut between two words where there is a gap near enough. */
function shorten(s = ""): string {
  if (s.length <= MOST) return s;
  const gap = s.lastIndexOf(" ", MOST - 2);
  return `${s.slice(0, gap > MOST / 2 ? gap : MOST - 2).replace(/[\s,;:.("']+$/, "")} …`;
}
