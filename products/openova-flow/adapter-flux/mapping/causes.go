package mapping

import (
	"fmt"
	"regexp"
	"strings"
)

// pattern matches one kind of error message of a controller, Helm or the API server.
type pattern struct {
	pattern  *regexp.Regexp
	why      func(g []string) string
	object   func(g []string) string
	command  func(g []string) []string
	hopeless bool // the same input can only fail again
}

func says(text string) func([]string) string { return func([]string) string { return text } }

func argv(args ...string) func([]string) []string { return func([]string) []string { return args } }

// kubectlDescribe returns a command that describes the object in these groups of the match.
func kubectlDescribe(kind, namespace, name int) func([]string) []string {
	return func(g []string) []string {
		return []string{"kubectl", "-n", g[namespace], "describe", strings.ToLower(g[kind]), g[name]}
	}
}

// names returns the object in these groups of the match, as Kind/namespace/name.
func names(kind, namespace, name int) func([]string) string {
	return func(g []string) string { return g[kind] + "/" + g[namespace] + "/" + g[name] }
}

func kubectlGet(kind, namespace, name int) func([]string) []string {
	return func(g []string) []string {
		return []string{"kubectl", "-n", g[namespace], "get", strings.ToLower(g[kind]), g[name]}
	}
}

// health returns the clause for the first object in the message of a failed health check, and how many more objects it names.
func health(ending string) func([]string) string {
	return func(g []string) string {
		more := ""
		if n := strings.Count(g[5], "status:"); n > 0 {
			more = fmt.Sprintf(" and %d more", n)
		}
		clause := fmt.Sprintf("%s %s/%s%s %s", g[1], g[2], g[3], more, ending)
		if g[4] == "Failed" {
			return clause
		}
		return clause + " (it is " + g[4] + ")"
	}
}

// patterns are tried in order: specific ones come before general ones.
var patterns = []pattern{
	{pattern: regexp.MustCompile(`timeout waiting for: \[(\w+)/([\w.-]+)/([\w.:-]+) status: '(\w+)'([^\]]*)`), why: health("did not become ready in time"), object: names(1, 2, 3), command: kubectlDescribe(1, 2, 3)},
	{pattern: regexp.MustCompile(`failed early due to stalled resources: \[(\w+)/([\w.-]+)/([\w.:-]+) status: '(\w+)'([^\]]*)`), why: health("failed"), object: names(1, 2, 3), command: kubectlDescribe(1, 2, 3)},
	{pattern: regexp.MustCompile(`execution error at \(([^)]+)\): (.+)`), hopeless: true,
		why: func(g []string) string {
			return fmt.Sprintf("a template of the chart stopped with %q (%s), so a value is missing or wrong", oneLine(g[2], 120), g[1])
		}},
	{pattern: regexp.MustCompile(`template: ([^:]+:\d+(?::\d+)?):.*?: (.+)`), hopeless: true,
		why: func(g []string) string {
			return "a template of the chart is broken at " + g[1] + ": " + oneLine(g[2], 160)
		}},
	{pattern: regexp.MustCompile(`(?s)values don't meet the specifications of the schema.*?:\s*(.+)`), hopeless: true,
		why: func(g []string) string { return "its values break the chart's schema: " + oneLine(g[1], 160) }},
	{pattern: regexp.MustCompile(`failed to create typed patch object \(([^/;)]*)/?([^;)]*);[^)]*Kind=(\w+)\): (\S+): expected ([^,]+)`), hopeless: true, object: names(3, 1, 2),
		why: func(g []string) string {
			name := strings.Trim(g[1]+"/"+g[2], "/") // an object of the cluster has no namespace
			return fmt.Sprintf("the API server refused %s %s: %s has the wrong type, %s is expected", g[3], name, g[4], g[5])
		}},
	{pattern: regexp.MustCompile(`post build failed for '(\w+)\.[^/]*/([\w.-]+)\.([\w-]+)': (?:envsubst error: )?(.+)`), hopeless: true, object: names(1, 3, 2),
		why: func(g []string) string { return fmt.Sprintf("in %s %s/%s %s", g[1], g[3], g[2], oneLine(g[4], 140)) }},
	{pattern: regexp.MustCompile(`(?s)(\w+)/([\w.-]+)/([\w.:-]+) dry-run failed.*field is immutable`), hopeless: true, object: names(1, 2, 3), command: kubectlDescribe(1, 2, 3),
		why: func(g []string) string {
			return fmt.Sprintf("%s %s/%s cannot be changed in place, a field of it is immutable; it must be replaced", g[1], g[2], g[3])
		}},
	{pattern: regexp.MustCompile(`(?s)(\w+)/([\w.-]+)/([\w.:-]+) dry-run failed \(Invalid\): (?:[\w.]+ "[^"]*" is invalid: )?(.+)`), hopeless: true, object: names(1, 2, 3),
		why: func(g []string) string {
			return fmt.Sprintf("the API server refused %s %s/%s: %s", g[1], g[2], g[3], oneLine(g[4], 160))
		}},
	{pattern: regexp.MustCompile(`(\w+)(?:\.[\w.-]+)? "([^"]+)" is invalid: ([\w.[\]-]+): (.+)`), hopeless: true,
		why: func(g []string) string {
			return fmt.Sprintf("the API server refused %s %s because of %s: %s", g[1], g[2], g[3], oneLine(g[4], 160))
		}},
	{pattern: regexp.MustCompile(`could not get KubeConfig (secret|configmap) '([^'/]+)/([^']+)'.*not found`), command: kubectlGet(1, 2, 3),
		why: func(g []string) string {
			return fmt.Sprintf("%s %s/%s with its kubeconfig does not exist", g[1], g[2], g[3])
		}},
	{pattern: regexp.MustCompile(`could not resolve (ConfigMap|Secret) chart values reference '([^'/]+)/([^']+)' with key '([^']+)': .* not found`), object: names(1, 2, 3), command: kubectlGet(1, 2, 3),
		why: func(g []string) string {
			return fmt.Sprintf("%s %s/%s, which should hold its values, does not exist", g[1], g[2], g[3])
		}},
	{pattern: regexp.MustCompile(`could not resolve (ConfigMap|Secret) chart values reference '([^'/]+)/([^']+)' with key '([^']+)'`), object: names(1, 2, 3), command: kubectlDescribe(1, 2, 3),
		why: func(g []string) string { return fmt.Sprintf("%s %s/%s has no usable key %s", g[1], g[2], g[3], g[4]) }},
	{pattern: regexp.MustCompile(`kustomization path not found: .*?(?:/tmp/[^/\s:]+/?)?([^/\s:][^\s:]*)?: no such file`), hopeless: true,
		why: func(g []string) string { return "its path " + g[1] + " does not exist in its source" }},
	{pattern: regexp.MustCompile(`no files found for pattern '([^']+)'`), why: func(g []string) string { return "no file of its sources matches " + g[1] }},
	{pattern: regexp.MustCompile(`no '([^']+)' chart with version matching '([^']+)' found`),
		why: func(g []string) string {
			return fmt.Sprintf("its repository has no chart %s of version %s", g[1], g[2])
		}},
	{pattern: regexp.MustCompile(`no chart name found|no chart version found|chart .* not found in`), why: says("its repository has no chart of that name and version"), command: argv("flux", "get", "sources", "chart", "-A")},
	{pattern: regexp.MustCompile(`(?:could not get Source object: )?\b(GitRepository|OCIRepository|HelmRepository|HelmChart|Bucket|ExternalArtifact)[\w.]* "([^"]+)" not found`),
		command: func(g []string) []string { return []string{"kubectl", "get", strings.ToLower(g[1]), "-A"} },
		why: func(g []string) string {
			return fmt.Sprintf("%s %s, which it names as its source, does not exist", g[1], g[2])
		}},
	{pattern: regexp.MustCompile(`no artifact available for (\w+) source '([^']+)'`), command: argv("flux", "get", "sources", "all", "-A"),
		why: func(g []string) string { return fmt.Sprintf("%s %s has never been fetched", g[1], g[2]) }},
	{pattern: regexp.MustCompile(`Source artifact not found`), why: says("its source has never been fetched"), command: argv("flux", "get", "sources", "all", "-A")},
	{pattern: regexp.MustCompile(`latest generation of object has not been reconciled`), why: says("the source has just changed and has not been fetched yet")},
	{pattern: regexp.MustCompile(`failed to evaluate (?:the )?(?:CEL expression|dependency [\w./-]+).*?'(.+?)'+(?::|$)`),
		why: func(g []string) string {
			return "the readyExpr of a dependency cannot be evaluated: " + oneLine(g[1], 120)
		}},
	{pattern: regexp.MustCompile(`(?:unable to get|dependency) '([^'/]+)/([^']+)'.*not found`), why: func(g []string) string { return g[1] + "/" + g[2] + " does not exist" }},
	{pattern: regexp.MustCompile(`dependency ([\w./-]+) not found`), why: func(g []string) string { return g[1] + " does not exist" }},
	{pattern: regexp.MustCompile(`dependency '([^'/]+)/([^']+)' is not ready according to readyExpr`), why: func(g []string) string { return g[1] + "/" + g[2] + " does not meet its readyExpr" }},
	{pattern: regexp.MustCompile(`dependency '([^'/]+)/([^']+)' revision is not up to date`), why: func(g []string) string { return g[1] + "/" + g[2] + " is not at the newest revision" }},
	{pattern: regexp.MustCompile(`dependency '([^'/]+)/([^']+)' is not ready`), why: func(g []string) string { return g[1] + "/" + g[2] + " is not ready" }},
	{pattern: regexp.MustCompile(`failed calling webhook "([^"]+)"`), why: func(g []string) string { return "the admission webhook " + g[1] + " does not answer" },
		command: argv("kubectl", "get", "validatingwebhookconfigurations,mutatingwebhookconfigurations")},
	{pattern: regexp.MustCompile(`admission webhook "([^"]+)" denied the request: (.+)`),
		why: func(g []string) string {
			return "the admission webhook " + g[1] + " refused it: " + oneLine(g[2], 160)
		}},
	{pattern: regexp.MustCompile(`no matches for kind "([^"]+)" in version "([^"]+)"`), command: argv("kubectl", "get", "crds"),
		why: func(g []string) string {
			return fmt.Sprintf("the cluster does not know %s of %s; its CRD is not installed", g[1], g[2])
		}},
	{pattern: regexp.MustCompile(`User "([^"]+)" cannot (\w+) resource "([^"]+)"`),
		command: func(g []string) []string { return []string{"kubectl", "auth", "can-i", g[2], g[3], "--as=" + g[1]} },
		why:     func(g []string) string { return fmt.Sprintf("%s may not %s %s", g[1], g[2], g[3]) }},
	{pattern: regexp.MustCompile(`exceeded quota: ([\w.-]+)`), why: func(g []string) string { return "the quota " + g[1] + " is used up" }, command: argv("kubectl", "get", "resourcequota", "-A")},
	{pattern: regexp.MustCompile(`namespaces? "([^"]+)" not found`), why: func(g []string) string { return "the namespace " + g[1] + " does not exist" },
		command: func(g []string) []string { return []string{"kubectl", "get", "namespace", g[1]} }},
	{pattern: regexp.MustCompile(`cross-namespace references have been blocked`), why: says("references to another namespace are blocked here (multi-tenancy lockdown)")},
	{pattern: regexp.MustCompile(`job ([\w.-]+) failed: (\w+)`), why: func(g []string) string { return "job " + g[1] + " failed (" + g[2] + ")" }},
	{pattern: regexp.MustCompile(`field is immutable`), hopeless: true, why: says("a field changes that cannot be changed in place; the object must be replaced")},
	{pattern: regexp.MustCompile(`invalid ownership metadata|cannot be imported into the current release`), why: says("an object of that name exists and belongs to something else")},
	{pattern: regexp.MustCompile(`another operation .* is in progress`), why: says("another Helm operation holds the release")},
	{pattern: regexp.MustCompile(`has no deployed releases`), why: says("no release of it has ever been deployed, so there is nothing to upgrade")},
	{pattern: regexp.MustCompile(`ssh: unable to authenticate|ssh: handshake failed`), why: says("the SSH key was refused, so it could not authenticate")},
	{pattern: regexp.MustCompile(`repository not found`), why: says("the repository does not exist, or the credentials may not see it")},
	{pattern: regexp.MustCompile(`x509: (.+)`), why: func(g []string) string { return "a TLS certificate is not trusted (" + oneLine(g[1], 140) + ")" }},
	{pattern: regexp.MustCompile(`no such host`), why: says("a host name does not resolve")},
	{pattern: regexp.MustCompile(`connection refused`), why: says("the connection was refused")},
	{pattern: regexp.MustCompile(`no route to host|network is unreachable`), why: says("the host cannot be reached")},
	{pattern: regexp.MustCompile(`\b401\b|[Uu]nauthorized|authentication required`), why: says("the credentials are missing or were refused")},
	{pattern: regexp.MustCompile(`\b403\b|[Ff]orbidden`), why: says("access was refused")},
	{pattern: regexp.MustCompile(`\b404\b|manifest unknown|MANIFEST_UNKNOWN`), why: says("it is not in the registry or repository")},
	{pattern: regexp.MustCompile(`\b429\b|[Tt]oo [Mm]any [Rr]equests`), why: says("the server limits the rate of requests")},
	{pattern: regexp.MustCompile(`etcdserver: request timed out|the server is currently unable to handle the request`), why: says("the API server was overloaded"), command: argv("kubectl", "get", "--raw=/readyz?verbose")},
	{pattern: regexp.MustCompile(`context deadline exceeded|would exceed context deadline|timed out waiting|i/o timeout`), why: says("it did not finish in time")},
}
