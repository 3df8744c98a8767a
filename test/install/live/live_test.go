// Package live applies the objects of the charts and the bootstrap kit to a real API server.
package live

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/openova-io/openova/test/e2e/plane"
)

// definitions has the pattern of CRD files for each module. They are applied after the CRDs of plane.Kit.
var definitions = map[string]string{
	"sigs.k8s.io/gateway-api@v1.4.1":                             "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
	"github.com/prometheus-operator/prometheus-operator@v0.85.0": "example/prometheus-operator-crd/monitoring.coreos.com_*[ol][re]s.yaml",
	"github.com/fluxcd/kustomize-controller@v1.9.6":              "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
	"github.com/k3s-io/helm-controller@v0.17.9":                  "pkg/crds/yaml/generated/helm.cattle.io_helmcharts.yaml",
}

// plurals are the plural names of the applied kinds.
var plurals = map[string]string{
	"CustomResourceDefinition": "customresourcedefinitions", "Namespace": "namespaces", "Deployment": "deployments", "DaemonSet": "daemonsets", "StatefulSet": "statefulsets",
	"Service": "services", "ServiceAccount": "serviceaccounts", "NetworkPolicy": "networkpolicies", "PodDisruptionBudget": "poddisruptionbudgets",
	"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings", "Role": "roles", "RoleBinding": "rolebindings",
	"HTTPRoute": "httproutes", "ServiceMonitor": "servicemonitors", "PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules", "HelmRelease": "helmreleases", "HelmRepository": "helmrepositories",
	"GitRepository": "gitrepositories", "Kustomization": "kustomizations", "HelmChart": "helmcharts", "Secret": "secrets", "ConfigMap": "configmaps", "PersistentVolumeClaim": "persistentvolumeclaims",
}

func TestAPIServer_AcceptsChartsAndKit(t *testing.T) {
	ctx := t.Context()
	cache, err := plane.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	kit, err := plane.Build(ctx, "../../e2e/tools", cache, func(what string) { t.Log("building", what) })
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p, err := plane.New(ctx, kit, filepath.Join(dir, "plane"), filepath.Join(dir, "logs"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	admin := p.Admin()
	for _, file := range append(kit.CRDs, otherCRDs(t)...) {
		for _, o := range read(t, file) {
			if err := apply(ctx, admin, o, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"openova-flow", "flux-system", "apps", "4711", "true"} {
		if err := apply(ctx, admin, plane.Object{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}, ""); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("accepts every render", func(t *testing.T) { checkRenders(t, admin) })
	t.Run("accepts the kits", func(t *testing.T) {
		for _, name := range []string{"primary", "secondary"} {
			for _, o := range read(t, "../testdata/kit/"+name+".golden.yaml") {
				if err := apply(ctx, admin, o, ""); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
	t.Run("accepts the manifests of a machine", func(t *testing.T) { checkMachines(t, admin) })
	t.Run("the emitter has exactly its permissions", func(t *testing.T) { checkPermissions(t, admin) })
}

func otherCRDs(t *testing.T) (files []string) {
	t.Helper()
	for module, pattern := range definitions {
		out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module).Output()
		var answer struct{ Dir string }
		if err != nil || json.Unmarshal(out, &answer) != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		found, _ := filepath.Glob(filepath.Join(answer.Dir, pattern))
		if len(found) == 0 {
			t.Fatal("no CRDs in ", answer.Dir)
		}
		files = append(files, found...)
	}
	return files
}

func read(t *testing.T, file string) (out []plane.Object) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range strings.Split("\n"+string(text), "\n---") {
		if _, rest, ok := strings.Cut(doc, "\n"); ok && strings.Contains(doc, "\nkind: ") {
			var o plane.Object
			if err := yaml.UnmarshalStrict([]byte(rest), &o); err != nil {
				t.Fatalf("%s: %v\n%s", file, err, rest)
			}
			out = append(out, o)
		}
	}
	if len(out) == 0 {
		t.Fatal("nothing in ", file)
	}
	return out
}

// apply applies an object with strict server-side apply. It retries for up to 30 s, since a new CRD is not served at once.
func apply(ctx context.Context, c *plane.Client, o plane.Object, query string) error {
	version, kind := o["apiVersion"].(string), o["kind"].(string)
	meta := o["metadata"].(map[string]any)
	plural, ok := plurals[kind]
	if !ok {
		return fmt.Errorf("%s %v: unknown kind, add it to plurals", kind, meta["name"])
	}
	path := "/apis/" + version
	if version == "v1" {
		path = "/api/v1"
	}
	if namespace, ok := meta["namespace"].(string); ok {
		path += "/namespaces/" + namespace
	}
	path += "/" + plural + "/" + meta["name"].(string) + "?fieldManager=test&force=true&fieldValidation=Strict" + query
	var applyErr error
	err := plane.Wait(ctx, 30*time.Second, func() error {
		_, err := c.Do(ctx, http.MethodPatch, path, plane.ServerSide, o)
		if plane.IsCode(err, http.StatusNotFound) || plane.IsCode(err, http.StatusTooManyRequests) || plane.IsCode(err, http.StatusServiceUnavailable) {
			return err
		}
		applyErr = err
		return nil
	})
	if err == nil {
		err = applyErr
	}
	if err != nil {
		return fmt.Errorf("%s %v: %w", kind, meta["name"], err)
	}
	return nil
}

func checkRenders(t *testing.T, admin *plane.Client) {
	files, _ := filepath.Glob("../testdata/openova-flow-*/*.golden.yaml")
	if len(files) < 9 {
		t.Fatal("only ", files)
	}
	for _, file := range files {
		objects := read(t, file)
		for _, o := range objects {
			if err := apply(t.Context(), admin, o, "&dryRun=All"); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		if len(objects) < 2 {
			t.Errorf("%s: only %d objects", file, len(objects))
		}
	}
	wrong := plane.Object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "x", "namespace": "apps"}, "automount": true}
	if err := apply(t.Context(), admin, wrong, "&dryRun=All"); err == nil {
		t.Error("the API server accepts an unknown field, so this test proves nothing")
	}
}

// checkMachines applies the manifests that cloud-init gives k3s.
func checkMachines(t *testing.T, admin *plane.Client) {
	for machine, want := range map[string]int{"primary": 7, "secondary": 6} {
		text, err := os.ReadFile("../cloudinit/testdata/" + machine + ".golden.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var cloudInit struct {
			WriteFiles []struct{ Path, Content string } `json:"write_files"`
		}
		if err := yaml.Unmarshal(text, &cloudInit); err != nil {
			t.Fatal(err)
		}
		applied := 0
		for _, f := range cloudInit.WriteFiles {
			if !strings.Contains(f.Path, "/server/manifests/") {
				continue
			}
			for _, doc := range strings.Split(f.Content, "\n---\n") {
				var o plane.Object
				if err := yaml.UnmarshalStrict([]byte(doc), &o); err != nil {
					t.Fatalf("%s: %v\n%s", f.Path, err, doc)
				}
				if err := apply(t.Context(), admin, o, "&dryRun=All"); err != nil {
					t.Errorf("%s: %v", machine, err)
				}
				applied++
			}
		}
		if applied != want {
			t.Errorf("%s: %d objects, want %d", machine, applied, want)
		}
	}
}

// checkPermissions asks the API server what the service account of two renders may do.
func checkPermissions(t *testing.T, admin *plane.Client) {
	const lease = "openova-flow-adapter-flux-2b2352bfcb"
	type question struct {
		namespace, verb, group, resource, name string
		everywhere, listed                     bool // allowed with the render "defaults"; allowed with the render "namespaces", which lists flux-system and apps
	}
	const helm, source, kustomize, coordination = "helm.toolkit.fluxcd.io", "source.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io", "coordination.k8s.io"
	questions := []question{
		{"", "get", "", "namespaces", "kube-system", true, false},
		{"kube-system", "get", "", "namespaces", "kube-system", true, true},
		{"default", "get", "", "namespaces", "default", false, false},
		{"", "list", "", "namespaces", "", false, false},
		{"apps", "get", "", "secrets", "", false, false},
		{"openova-flow", "create", coordination, "leases", "", true, true},
		{"openova-flow", "get", coordination, "leases", lease, true, true},
		{"openova-flow", "update", coordination, "leases", lease, true, true},
		{"openova-flow", "update", coordination, "leases", "other", false, false},
		{"openova-flow", "delete", coordination, "leases", lease, false, false},
		{"kube-system", "create", coordination, "leases", "", false, false},
		{"flux-system", "list", coordination, "leases", "", true, true},
		{"flux-system", "watch", coordination, "leases", "", false, false},
		{"apps", "update", helm, "helmreleases", "", false, false},
		{"apps", "delete", kustomize, "kustomizations", "", false, false},
	}
	for _, verb := range []string{"get", "list", "watch"} {
		for group, resources := range map[string][]string{helm: {"helmreleases"}, source: {"helmcharts", "helmrepositories", "ocirepositories", "gitrepositories", "buckets", "externalartifacts"}, kustomize: {"kustomizations"},
			"source.extensions.fluxcd.io": {"artifactgenerators"}, "fluxcd.controlplane.io": {"resourcesets", "fluxinstances"}} {
			for _, r := range resources {
				questions = append(questions, question{"", verb, group, r, "", true, false}, question{"default", verb, group, r, "", true, false},
					question{"apps", verb, group, r, "", true, true}, question{"flux-system", verb, group, r, "", true, true})
			}
		}
		questions = append(questions, question{"apps", verb, "notification.toolkit.fluxcd.io", "receivers", "", false, false})
	}
	for _, render := range []string{"namespaces", "defaults"} {
		for _, o := range read(t, "../testdata/openova-flow-emitter/"+render+".golden.yaml") {
			if err := apply(t.Context(), admin, o, ""); err != nil {
				t.Fatal(err)
			}
		}
		mustAllow := func(q question) bool {
			return q.everywhere && render == "defaults" || q.listed && render == "namespaces"
		}
		// Allowed requests first, so that a wrong permission would be in force when denied requests are checked.
		slices.SortStableFunc(questions, func(a, b question) int {
			return cmp.Compare(strconv.FormatBool(mustAllow(b)), strconv.FormatBool(mustAllow(a)))
		})
		for _, q := range questions {
			want := mustAllow(q)
			// The API server's authorizer sees a role with a delay.
			err := plane.Wait(t.Context(), 10*time.Second, func() error {
				answer, err := admin.Do(t.Context(), http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", plane.JSON, plane.Object{
					"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
					"spec": map[string]any{
						"user":               "system:serviceaccount:openova-flow:flow-openova-flow-emitter",
						"resourceAttributes": map[string]any{"namespace": q.namespace, "verb": q.verb, "group": q.group, "resource": q.resource, "name": q.name},
					},
				})
				if err != nil {
					return err
				}
				allowed, _ := answer["status"].(map[string]any)["allowed"].(bool)
				if allowed != want {
					return fmt.Errorf("allowed is %v", allowed)
				}
				return nil
			})
			if err != nil {
				t.Errorf("%s: %s %s.%s %q in %q: %v", render, q.verb, q.resource, q.group, q.name, q.namespace, err)
			}
		}
	}
}
