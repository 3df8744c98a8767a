// Package live asks a real API server about what the charts and the bootstrap kit give it.
package live

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/openova-io/openova/test/e2e/plane"
)

// gatewayAPI is the module that the Gateway API's definitions come from.
const gatewayAPI = "sigs.k8s.io/gateway-api@v1.4.1"

// plurals are the kinds that are applied. Of those of the Prometheus operator the definitions are not at hand.
var (
	plurals = map[string]string{
		"CustomResourceDefinition": "customresourcedefinitions", "Namespace": "namespaces", "Deployment": "deployments", "DaemonSet": "daemonsets",
		"Service": "services", "ServiceAccount": "serviceaccounts", "NetworkPolicy": "networkpolicies", "PodDisruptionBudget": "poddisruptionbudgets",
		"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings", "Role": "roles", "RoleBinding": "rolebindings",
		"HTTPRoute": "httproutes", "HelmRelease": "helmreleases", "HelmRepository": "helmrepositories",
	}
	notServed = map[string]bool{"ServiceMonitor": true, "PodMonitor": true}
)

func TestAPIServer(t *testing.T) {
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
	for _, file := range append(kit.CRDs, gatewayCRDs(t)...) {
		for _, o := range read(t, file) {
			if err := apply(ctx, admin, o, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"openova-flow", "flux-system", "apps"} {
		if err := apply(ctx, admin, plane.Object{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}, ""); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("takes every render", func(t *testing.T) { takesRenders(t, admin) })
	t.Run("takes the kits", func(t *testing.T) {
		for _, name := range []string{"primary", "secondary"} {
			for _, o := range read(t, "../testdata/kit/"+name+".golden.yaml") {
				if err := apply(ctx, admin, o, ""); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
	t.Run("gives the emitter its rights and no more", func(t *testing.T) { givesRights(t, admin) })
}

func gatewayCRDs(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", gatewayAPI).Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files, _ := filepath.Glob(filepath.Join(module.Dir, "config/crd/standard/gateway.networking.k8s.io_*.yaml"))
	if len(files) == 0 {
		t.Fatal("no definitions in ", module.Dir)
	}
	return files
}

// read returns the objects of a file. Documents that are none, such as a chart's notes, are left out.
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

// apply applies an object server-side and strictly. A definition that has just come takes a moment to be served.
func apply(ctx context.Context, c *plane.Client, o plane.Object, query string) error {
	version, kind := o["apiVersion"].(string), o["kind"].(string)
	meta := o["metadata"].(map[string]any)
	plural, ok := plurals[kind]
	if !ok {
		return fmt.Errorf("%s %v: not known to this test", kind, meta["name"])
	}
	path := "/apis/" + version
	if version == "v1" {
		path = "/api/v1"
	}
	if namespace, ok := meta["namespace"].(string); ok {
		path += "/namespaces/" + namespace
	}
	path += "/" + plural + "/" + meta["name"].(string) + "?fieldManager=test&force=true&fieldValidation=Strict" + query
	err := plane.Wait(ctx, 30*time.Second, func() error {
		_, err := c.Do(ctx, http.MethodPatch, path, plane.ServerSide, o)
		if plane.IsCode(err, http.StatusNotFound) || plane.IsCode(err, http.StatusTooManyRequests) || plane.IsCode(err, http.StatusServiceUnavailable) {
			return err
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errFinal, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s %v: %w", kind, meta["name"], err)
	}
	return nil
}
