package mapping

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var app = subject{kind: kindHelmRelease, namespace: "shop", name: "app", label: "app"}

// examples are messages of controllers, Helm and the API server, with the result of explain.
var examples = []struct {
	message, want, command, object string
	hopeless                       bool
}{
	{"health check failed after 5m0s: timeout waiting for: [HelmRelease/apps/podinfo status: 'InProgress', Deployment/apps/web status: 'InProgress']", "HelmRelease apps/podinfo and 1 more did not become ready in time (it is InProgress)", "kubectl -n apps describe helmrelease podinfo", "HelmRelease/apps/podinfo", false},
	{"health check failed after 31ms: failed early due to stalled resources: [HelmRelease/crossplane-system/crossplane status: 'Failed']", "HelmRelease crossplane-system/crossplane failed", "kubectl -n crossplane-system describe helmrelease crossplane", "HelmRelease/crossplane-system/crossplane", false},
	{`Helm upgrade failed for release shop/app.v2 with chart app@2.0.0: execution error at (app/templates/deployment.yaml:12:4): image.tag is required`, `a template of the chart stopped with "image.tag is required" (app/templates/deployment.yaml:12:4), so a value is missing or wrong`, "", "", true},
	{`Helm install failed for release shop/app with chart app@1.0.0: template: app/templates/secret.yaml:7:20: executing "app/templates/secret.yaml" at <.Values.auth.password>: nil pointer evaluating interface {}.password`, "a template of the chart is broken at app/templates/secret.yaml:7:20: nil pointer evaluating interface {}.password", "", "", true},
	{"Helm install failed for release shop/app with chart app@1.0.0: values don't meet the specifications of the schema(s) in the following chart(s):\napp:\n- at '/replicas': got string, want integer\n", "its values break the chart's schema: app: - at '/replicas': got string, want integer", "", "", true},
	{`Helm upgrade failed for release shop/app with chart app@1.0.0: failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.template.spec.containers[0].ports: expected list, got &{map[]}`, "the API server refused Deployment shop/web: .spec.template.spec.containers[0].ports has the wrong type, list is expected", "", "Deployment/shop/web", true},
	{`post build failed for 'ConfigMap.v1/settings.infra': envsubst error: variable not set (strict mode): "CLUSTER_NAME"`, `in ConfigMap infra/settings variable not set (strict mode): "CLUSTER_NAME"`, "", "ConfigMap/infra/settings", true},
	{`Deployment/infra/web dry-run failed (Invalid): Deployment.apps "web" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"web"}}: field is immutable`, "Deployment infra/web cannot be changed in place, a field of it is immutable; it must be replaced", "kubectl -n infra describe deployment web", "Deployment/infra/web", true},
	{`Service/infra/web dry-run failed (Invalid): Service "web" is invalid: spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive`, "the API server refused Service infra/web: spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive", "", "Service/infra/web", true},
	{`Helm upgrade failed for release shop/app with chart app@2.0.0: cannot patch "web" with kind Service: Service "web" is invalid: spec.clusterIPs[0]: Invalid value: "None": may not change once set`, `the API server refused Service web because of spec.clusterIPs[0]: Invalid value: "None": may not change once set`, "", "", true},
	{`could not get KubeConfig secret 'apps/spoke1-kubeconfig': Secret "spoke1-kubeconfig" not found`, "secret apps/spoke1-kubeconfig with its kubeconfig does not exist", "kubectl -n apps get secret spoke1-kubeconfig", "", false},
	{`could not resolve Secret chart values reference 'shop/app-values' with key 'values.yaml': Secret "app-values" not found`, "Secret shop/app-values, which should hold its values, does not exist", "kubectl -n shop get secret app-values", "Secret/shop/app-values", false},
	{`could not resolve ConfigMap chart values reference 'shop/app-values' with key 'values.yaml': missing key`, "ConfigMap shop/app-values has no usable key values.yaml", "kubectl -n shop describe configmap app-values", "ConfigMap/shop/app-values", false},
	{"kustomization path not found: stat /tmp/kustomization-1234567890/clusters/prod-eu: no such file or directory", "its path clusters/prod-eu does not exist in its source", "", "", true},
	{"shop-prod build failed: no files found for pattern '@monorepo/apps/shop/envs/prod/**'", "no file of its sources matches @monorepo/apps/shop/envs/prod/**", "", "", false},
	{"invalid chart reference: failed to get chart version for remote reference: no 'app' chart with version matching '9.9.9' found", "its repository has no chart app of version 9.9.9", "", "", false},
	{"chart pull error: failed to get chart version for remote reference: no chart name found", "its repository has no chart of that name and version", "flux get sources chart -A", "", false},
	{`could not get Source object: OCIRepository.source.toolkit.fluxcd.io "app" not found`, "OCIRepository app, which it names as its source, does not exist", "kubectl get ocirepository -A", "", false},
	{"no artifact available for HelmRepository source 'charts'", "HelmRepository charts has never been fetched", "flux get sources all -A", "", false},
	{"Source artifact not found, retrying in 30s", "its source has never been fetched", "flux get sources all -A", "", false},
	{"HelmChart 'shop/shop-app' is not ready: latest generation of object has not been reconciled", "the source has just changed and has not been fetched yet", "", "", false},
	{"failed to evaluate the CEL expression 'dep.status.foo == 1': no such key: foo", "the readyExpr of a dependency cannot be evaluated: dep.status.foo == 1", "", "", false},
	{`unable to get 'shop/db' dependency: helmreleases.helm.toolkit.fluxcd.io "db" not found`, "shop/db does not exist", "", "", false},
	{"dependency shop/db not found", "shop/db does not exist", "", "", false},
	{"dependency 'shop/db' is not ready according to readyExpr eval", "shop/db does not meet its readyExpr", "", "", false},
	{"dependency 'flux-system/infra' revision is not up to date", "flux-system/infra is not at the newest revision", "", "", false},
	{"dependency 'shop/db' is not ready", "shop/db is not ready", "", "", false},
	{`Internal error occurred: failed calling webhook "webhook.cert-manager.io": failed to call webhook: Post "https://cert-manager-webhook.cert-manager.svc:443/validate?timeout=30s": dial tcp 10.96.1.2:443: connect: connection refused`, "the admission webhook webhook.cert-manager.io does not answer", "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations", "", false},
	{`Helm upgrade failed for release shop/app with chart app@1.0.0: admission webhook "limits.example.com" denied the request: every container needs a memory limit`, "the admission webhook limits.example.com refused it: every container needs a memory limit", "", "", false},
	{`Helm install failed for release shop/app with chart app@1.0.0: unable to build kubernetes objects from release manifest: resource mapping not found for name: "app" namespace: "" from "": no matches for kind "ServiceMonitor" in version "monitoring.coreos.com/v1"`, "the cluster does not know ServiceMonitor of monitoring.coreos.com/v1; its CRD is not installed", "kubectl get crds", "", false},
	{`query: failed to query with labels: secrets is forbidden: User "system:serviceaccount:tenant:tenant-sa" cannot list resource "secrets" in API group "" in the namespace "tenant"`, "system:serviceaccount:tenant:tenant-sa may not list secrets", "kubectl auth can-i list secrets --as=system:serviceaccount:tenant:tenant-sa", "", false},
	{`pods "web-0" is forbidden: exceeded quota: compute-resources, requested: limits.memory=1Gi, used: limits.memory=4Gi, limited: limits.memory=4Gi`, "the quota compute-resources is used up", "kubectl get resourcequota -A", "", false},
	{`Helm install failed for release shop/app with chart app@1.0.0: create: failed to create: namespaces "shop" not found`, "the namespace shop does not exist", "kubectl get namespace shop", "", false},
	{"can't access 'HelmChart/other/app', cross-namespace references have been blocked", "references to another namespace are blocked here (multi-tenancy lockdown)", "", "", false},
	{"Helm install failed for release shop/app with chart app@1.0.0: failed post-install: job app-migrate failed: BackoffLimitExceeded", "job app-migrate failed (BackoffLimitExceeded)", "", "", false},
	{"Helm upgrade failed for release shop/app with chart app@1.0.0: cannot patch \"db\" with kind StatefulSet: spec.volumeClaimTemplates: field is immutable", "a field changes that cannot be changed in place; the object must be replaced", "", "", true},
	{`Helm install failed for release shop/app with chart app@1.0.0: Unable to continue with install: ServiceAccount "app" in namespace "shop" exists and cannot be imported into the current release: invalid ownership metadata; label validation error`, "an object of that name exists and belongs to something else", "", "", false},
	{"Helm upgrade failed for release shop/app with chart app@1.0.0: another operation (install/upgrade/rollback) is in progress", "another Helm operation holds the release", "", "", false},
	{`Helm upgrade failed for release shop/app with chart app@1.0.0: "app" has no deployed releases`, "no release of it has ever been deployed, so there is nothing to upgrade", "", "", false},
	{"failed to checkout and determine revision: unable to list remote for 'ssh://git@example.com/fleet': ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported methods remain", "the SSH key was refused, so it could not authenticate", "", "", false},
	{"failed to checkout and determine revision: unable to list remote for 'https://example.com/fleet': repository not found", "the repository does not exist, or the credentials may not see it", "", "", false},
	{"failed to fetch Helm repository index: Get \"https://charts.example.com/index.yaml\": tls: failed to verify certificate: x509: certificate signed by unknown authority", "a TLS certificate is not trusted (certificate signed by unknown authority)", "", "", false},
	{"failed to fetch Helm repository index: Get \"https://charts.example.com/index.yaml\": dial tcp: lookup charts.example.com on 10.96.0.10:53: no such host", "a host name does not resolve", "", "", false},
	{"Kubernetes cluster unreachable: Get \"https://10.1.2.3:6443/version\": dial tcp 10.1.2.3:6443: connect: connection refused", "the connection was refused", "", "", false},
	{"Kubernetes cluster unreachable: Get \"https://10.1.2.3:6443/version\": dial tcp 10.1.2.3:6443: connect: no route to host", "the host cannot be reached", "", "", false},
	{"failed to login to OCI registry: response status code 401: unauthorized: authentication required", "the credentials are missing or were refused", "", "", false},
	{"failed to fetch Helm repository index: failed to fetch https://charts.example.com/index.yaml : 403 Forbidden", "access was refused", "", "", false},
	{"failed to determine artifact digest: GET https://ghcr.io/v2/x/manifests/9.9.9: MANIFEST_UNKNOWN: manifest unknown", "it is not in the registry or repository", "", "", false},
	{"failed to pull artifact: GET https://index.docker.io/v2/x: TOOMANYREQUESTS: 429 Too Many Requests", "the server limits the rate of requests", "", "", false},
	{"Helm install failed for release shop/app with chart app@1.0.0: etcdserver: request timed out", "the API server was overloaded", "kubectl get --raw=/readyz?verbose", "", false},
	{"Helm install failed for release shop/app with chart app@1.0.0: context deadline exceeded", "it did not finish in time", "", "", false},
}

// TestExplain_EveryPattern: every pattern has an example, in the order of the patterns.
func TestExplain_EveryPattern(t *testing.T) {
	if len(examples) != len(patterns) {
		t.Errorf("%d examples for %d patterns", len(examples), len(patterns))
	}
	for i, c := range examples {
		if at := slices.IndexFunc(patterns, func(p pattern) bool { return p.pattern.MatchString(c.message) }); at != i {
			t.Errorf("pattern %d matches the example of pattern %d: %s", at, i, c.message)
		}
		e := explain(app, "InstallFailed", c.message)
		if e.cause != c.want || strings.Join(e.command, " ") != c.command || e.object != c.object || e.helps() == c.hopeless {
			t.Errorf("%s\ngot  %q, %q, %q, %v\nwant %q, %q, %q, %v", c.message, e.cause, e.command, e.object, !e.helps(), c.want, c.command, c.object, c.hopeless)
		}
		checkCause(t, e.toCause("InstallFailed"))
		sent := judgement{cause: e.toCause("InstallFailed")}.fields()["cause"].(map[string]any)
		if inGit := sent["inGit"] == true; inGit != c.hopeless {
			t.Errorf("%s\ninGit is %v, want %v", c.message, inGit, c.hopeless)
		}
	}
}

func TestExplain_ObjectWithoutNamespace(t *testing.T) {
	e := explain(app, "UpgradeFailed", "failed to create typed patch object (/reader; rbac.authorization.k8s.io/v1, Kind=ClusterRole): .rules: expected list, got &{map[]}")
	if want := "the API server refused ClusterRole reader: .rules has the wrong type, list is expected"; e.cause != want {
		t.Errorf("%q, want %q", e.cause, want)
	}
}

// TestExplain_RecordedMessagesAndKnownReasons explains the message of every condition in testdata, whether a pattern matches or not, and every known reason.
func TestExplain_RecordedMessagesAndKnownReasons(t *testing.T) {
	all := map[string]bool{"": true, "x": true, "ends. ": true, "...": true}
	files, err := filepath.Glob("../testdata/*/*.jsonl")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for d := json.NewDecoder(bytes.NewReader(raw)); d.More(); {
			var event struct {
				Object struct {
					Status struct{ Conditions []struct{ Message string } }
				}
			}
			if err := d.Decode(&event); err != nil {
				t.Fatal(err)
			}
			for _, c := range event.Object.Status.Conditions {
				all[c.Message] = true
			}
		}
	}
	if len(all) < 200 {
		t.Fatalf("only %d messages", len(all))
	}
	for message := range all {
		checkCause(t, explain(app, "SomeUnknownReason", message).toCause("SomeUnknownReason"))
		if clause := explain(app, "InstallFailed", message).why(); strings.Contains(clause, "\n") {
			t.Errorf("%q has more than one line", clause)
		}
	}
	for reason, clause := range reasons {
		for _, message := range []string{"", "x", "Helm install failed: context deadline exceeded"} {
			c := explain(app, reason, message).toCause(reason)
			checkCause(t, c)
			if !strings.HasPrefix(c.sentence, "app "+clause) {
				t.Errorf("%s: sentence %q", reason, c.sentence)
			}
			if strings.ToLower(c.class) != c.class || strings.Contains(c.class, "--") || strings.ReplaceAll(c.class, "-", "") != strings.ToLower(reason) {
				t.Errorf("the class of %s is %q", reason, c.class)
			}
		}
	}
}

func TestExplain_WithoutAReasonReportsAnError(t *testing.T) {
	for message, want := range map[string]string{"": "app reports an error.", "x": "app reports an error: x."} {
		if got := explain(app, "", message).sentence(); got != want {
			t.Errorf("message %q: %q, want %q", message, got, want)
		}
	}
}

func TestOneLine_CutsBetweenWordsOnlyInTheSecondHalf(t *testing.T) {
	for words, want := range map[[2]int]int{{30, 80}: 97, {80, 30}: 80} {
		got := oneLine(strings.Repeat("é", words[0])+" "+strings.Repeat("é", words[1]), 100)
		if n := strings.Count(got, "é"); n != want {
			t.Errorf("words of %d and %d characters: %d characters are left, want %d", words[0], words[1], n, want)
		}
	}
}

var leftover = regexp.MustCompile(`/tmp/|\{\\?"`)

func checkCause(t *testing.T, c cause) {
	t.Helper()
	switch {
	case !strings.HasPrefix(c.sentence, "app "):
		t.Errorf("the sentence does not begin with the name: %q", c.sentence)
	case !strings.HasSuffix(c.sentence, ".") || strings.HasSuffix(c.sentence, "..") || strings.HasSuffix(c.sentence, " ."):
		t.Errorf("the sentence does not end in one full stop: %q", c.sentence)
	case leftover.MatchString(c.sentence), strings.ContainsAny(c.sentence, "\n\t"):
		t.Errorf("the sentence has a temporary folder, JSON or several lines: %q", c.sentence)
	case len(c.sentence) > 1<<10:
		t.Errorf("the sentence has %d bytes: %q", len(c.sentence), c.sentence)
	case len(c.command) == 0, c.class == "":
		t.Errorf("no command or class: %+v", c)
	}
	for _, a := range c.command {
		if len(a) > longestName || strings.ContainsAny(a, " \n\t\x00\x1b") {
			t.Errorf("the command has the argument %q", a)
		}
	}
}

// TestExplain_HostileMessages: a message must not add options or long arguments to a command.
func TestExplain_HostileMessages(t *testing.T) {
	known := map[string]bool{"-n": true, "-A": true, "-o": true, "--reset": true, "--force": true, "--raw=/readyz?verbose": true}
	hostile := []string{"--kubeconfig=/x", "-x", "--all", strings.Repeat("a", 300), "a b", "a\x1b[2J", "{\"a\":\"b\"}", "/tmp/x-1/y"}
	for _, c := range examples {
		for _, word := range hostile {
			for _, m := range regexp.MustCompile(`[\w.:@*-]+`).FindAllStringIndex(c.message, -1) {
				message := c.message[:m[0]] + word + c.message[m[1]:]
				e := explain(app, "InstallFailed", message)
				made := e.toCause("InstallFailed")
				checkCause(t, made)
				if e.object != "" && len(e.object) > 3*longestName {
					t.Errorf("the object is %q", e.object)
				}
				for _, a := range made.command {
					if strings.HasPrefix(a, "-") && !known[a] && !strings.HasPrefix(a, "--as=") {
						t.Errorf("%q makes the command %q", message, made.command)
					}
				}
			}
		}
		long := clip(strings.Repeat(c.message+" ", maxMessage/len(c.message)+1))
		checkCause(t, explain(app, "InstallFailed", long).toCause("InstallFailed"))
	}
	for _, unit := range []string{"{", "{\"", "a/", "a/a dry-run failed ", "'", "[", "post build failed for 'a.", ": ", "é", "\xff"} {
		checkCause(t, explain(app, "InstallFailed", clip(strings.Repeat(unit, maxMessage))).toCause("InstallFailed"))
	}
}

// BenchmarkExplain explains expensive messages of the maximum length.
func BenchmarkExplain(b *testing.B) {
	for name, unit := range map[string]string{"paths": "a/", "dry-run": "a/a/a dry-run failed ", "braces": "{\""} {
		message := clip(strings.Repeat(unit, maxMessage))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				explain(app, "InstallFailed", message)
			}
		})
	}
}

func TestSpan_HasTheFormOfSpecs(t *testing.T) {
	for ms, want := range map[int64]string{30_000: "30s", 300_000: "5m", 1_770_000: "29m30s", 3_600_000: "1h", 5_400_000: "1h30m", 3_601_000: "1h0m1s"} {
		if got := span(ms); got != want {
			t.Errorf("%d ms: %s, want %s", ms, got, want)
		}
	}
}
