package install

import (
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/openova-io/openova/test/install/kit"
)

const kits = "../../clusters/_template"

func build(t *testing.T, folder string, variables map[string]string, strict bool) map[string]map[string]any {
	t.Helper()
	objects, err := kit.Build(filepath.Join(kits, folder), variables, strict)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func keys(m map[string]map[string]any) string {
	var names []string
	for name := range m {
		names = append(names, strings.Replace(name, "HelmRepository/bp-", "repo ", 1))
	}
	sort.Strings(names)
	return strings.ReplaceAll(strings.Join(names, ", "), "HelmRelease/bp-", "")
}

func TestKit_ReleasesAndValuesByVariables(t *testing.T) {
	const (
		service = "http://openova-flow-server.openova-flow.svc.cluster.local:8080"
		emit    = "HelmRelease/bp-openova-flow-emitter"
		serve   = "HelmRelease/bp-openova-flow-server"
		all     = "cert-manager, cilium, flux, openova-flow-emitter, openova-flow-server, repo cert-manager, repo cilium, repo flux, repo openova-flow-emitter, repo openova-flow-server"
		second  = "cert-manager, cilium, flux, openova-flow-emitter, repo cert-manager, repo cilium, repo flux, repo openova-flow-emitter"
	)
	full := map[string]string{"SOVEREIGN_FQDN": "example.com", "SOVEREIGN_DEPLOYMENT_ID": "4711", "REGION_KEY": "hel1", "FLOW_SERVER_URL": "https://flow.internal:8443"}
	domain := map[string]string{"SOVEREIGN_FQDN": "example.com"}
	for _, tt := range []struct {
		name, kit         string
		variables         map[string]string
		has               string
		url, flow, region string
	}{
		{"primary with all variables", "bootstrap-kit", full, all, "https://flow.internal:8443", "4711", "hel1"},
		{"primary with the domain alone", "bootstrap-kit", domain, all, service, "example.com", "primary"},
		{"empty variables equal missing ones", "bootstrap-kit", map[string]string{"SOVEREIGN_FQDN": "example.com", "REGION_KEY": "", "SOVEREIGN_DEPLOYMENT_ID": "", "FLOW_SERVER_URL": ""}, all, service, "example.com", "primary"},
		{"secondary with all variables", "bootstrap-kit-secondary", full, second, "https://flow.internal:8443", "4711", "hel1"},
		{"names that look like numbers and booleans", "bootstrap-kit", map[string]string{"SOVEREIGN_FQDN": "example.com", "SOVEREIGN_DEPLOYMENT_ID": "12e5", "REGION_KEY": "true"}, all, service, "12e5", "true"},
		{"secondary without an URL", "bootstrap-kit-secondary", map[string]string{"SOVEREIGN_FQDN": "example.com", "REGION_KEY": "hel1"}, second, "https://openova-flow.example.com", "example.com", "hel1"},
	} {
		check := func(t *testing.T, strict bool) {
			objects := build(t, tt.kit, tt.variables, strict)
			if got := keys(objects); got != tt.has {
				t.Errorf("releases and repositories are %s", got)
			}
			want(t, "emitter", objects[emit], map[string]any{
				"spec.values.flowEmitter.flowServerUrl": tt.url,
				"spec.values.flowEmitter.flowId":        tt.flow,
				"spec.values.flowEmitter.regionKey":     tt.region,
			})
			if s, ok := objects[serve]; ok {
				want(t, "server", s, map[string]any{"spec.values.flowServer.httpRoute.hostname": "openova-flow.example.com"})
			}
			for name, chart := range map[string]string{serve: server, emit: emitter} {
				if o, ok := objects[name]; ok {
					rendersIn(t, o, chart)
				}
			}
			for name, o := range objects {
				if text, _ := yaml.Marshal(o); strings.Contains(string(text), "${") {
					t.Errorf("%s has a variable left:\n%s", name, text)
				}
			}
		}
		t.Run(tt.name, func(t *testing.T) { check(t, false) })
		t.Run(tt.name+", strict", func(t *testing.T) { check(t, true) })
	}
}

// rendersIn renders a chart of this repository with the values of the kit's HelmRelease, and checks that the kit has its name, version and Service.
func rendersIn(t *testing.T, release map[string]any, name string) {
	t.Helper()
	c := load(t, name)
	want(t, name, release, map[string]any{"spec.chart.spec.chart": c.Name(), "spec.chart.spec.version": c.Metadata.Version})
	v, _ := at(release, "spec.values").(map[string]any)
	files, err := render(c, v, at(release, "spec.releaseName").(string), true)
	if err != nil {
		t.Fatal(err)
	}
	if name != server {
		return
	}
	for _, o := range objects(t, files) {
		if o.Kind == "Service" && o.Metadata.Name != "openova-flow-server" {
			t.Errorf("the server's Service is %s, but the emitter's default URL names openova-flow-server", o.Metadata.Name)
		}
	}
}

func TestKit_WithoutTheDomainFails(t *testing.T) {
	objects := build(t, "bootstrap-kit", nil, false)
	for release, sentence := range map[string]struct{ chart, want string }{
		"HelmRelease/bp-openova-flow-server":  {server, `flowServer.httpRoute.hostname is "openova-flow.": set it to`},
		"HelmRelease/bp-openova-flow-emitter": {emitter, `flowEmitter.flowId is "": set it to`},
	} {
		v, _ := at(objects[release], "spec.values").(map[string]any)
		if _, err := render(load(t, sentence.chart), v, "flow", true); err == nil || !strings.Contains(err.Error(), sentence.want) {
			t.Errorf("%s: %v", release, err)
		}
	}
}

func TestKit_ReferencesExist(t *testing.T) {
	for _, kit := range []string{"bootstrap-kit", "bootstrap-kit-secondary"} {
		objects := build(t, kit, map[string]string{"SOVEREIGN_FQDN": "example.com"}, true)
		for name, o := range objects {
			if !strings.HasPrefix(name, "HelmRelease/") {
				continue
			}
			if source, _ := at(o, "spec.chart.spec.sourceRef.name").(string); objects["HelmRepository/"+source] == nil {
				t.Errorf("%s: source %[3]q of %[2]s does not exist", kit, name, source)
			}
			dependencies, _ := at(o, "spec.dependsOn").([]any)
			for _, d := range dependencies {
				if objects["HelmRelease/"+at(d, "name").(string)] == nil {
					t.Errorf("%s: dependency %[3]v of %[2]s does not exist", kit, name, d)
				}
			}
		}
	}
}

func TestKit_Golden(t *testing.T) {
	for name, kit := range map[string]string{"primary": "bootstrap-kit", "secondary": "bootstrap-kit-secondary"} {
		files := map[string]string{}
		for object, o := range build(t, kit, map[string]string{"SOVEREIGN_FQDN": "example.com", "SOVEREIGN_DEPLOYMENT_ID": "4711", "REGION_KEY": "fsn1"}, true) {
			text, err := yaml.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			files[object] = string(text)
		}
		golden(t, filepath.Join("testdata", "kit", name+".golden.yaml"), join(files))
	}
}
