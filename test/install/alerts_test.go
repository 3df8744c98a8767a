package install

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestServer_AlertsAreRenderedAndDocumented also checks that the metrics of the server in the rules are documented.
func TestServer_AlertsAreRenderedAndDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chartDir(server), "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var spec map[string]any
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalStrict(text, &spec); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	rule := func(sets ...string) (found []object) {
		files, err := render(load(t, server), values(t, append(sets, "flowServer.image.tag=v1.2.3")...), "flow", true)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects(t, files) {
			if o.Kind == "PrometheusRule" {
				found = append(found, o)
			}
		}
		return found
	}
	if got := rule(); len(got) != 0 {
		t.Errorf("by default: %v", got)
	}
	if got := rule("flowServer.prometheusRule.enabled=true", "flowServer.prometheusRule.labels.release=prometheus"); len(got) != 1 || !reflect.DeepEqual(got[0].Spec, spec) || got[0].Metadata.Labels["release"] != "prometheus" {
		t.Errorf("%v", got)
	}
	docs := func(page string) string {
		text, err := os.ReadFile(filepath.Join("../../docs", page))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	metrics, runbook := docs("metrics.md"), docs("alerts.md")
	sections := strings.Count(runbook, "\n## ")
	for _, r := range file.Groups[0].Rules {
		sections--
		if !strings.Contains(runbook, "\n## "+r.Alert+"\n") || r.Annotations["runbook_url"] != "https://github.com/openova-io/openova/blob/main/docs/alerts.md#"+strings.ToLower(r.Alert) {
			t.Errorf("%s: %s", r.Alert, r.Annotations["runbook_url"])
		}
		if r.Annotations["summary"] == "" || !regexp.MustCompile(`^(critical|warning|info)$`).MatchString(r.Labels["severity"]) {
			t.Errorf("%s: %v %v", r.Alert, r.Annotations, r.Labels)
		}
		names := regexp.MustCompile(`openova_flow_\w+`).FindAllString(r.Expr, -1)
		for _, name := range names {
			if !strings.Contains(metrics, "\n| `"+name+"` |") {
				t.Errorf("%s: no metric %s", r.Alert, name)
			}
		}
		if len(names) == 0 {
			t.Errorf("%s: no metric in %s", r.Alert, r.Expr)
		}
	}
	if len(file.Groups) != 1 || sections != 0 {
		t.Errorf("%d groups, %d sections without an alert", len(file.Groups), sections)
	}
}

// TestServer_DashboardIsRenderedUnchanged also checks the labels that Grafana's sidecar looks for, and that the metrics are documented.
func TestServer_DashboardIsRenderedUnchanged(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chartDir(server), "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	metrics := pages(t)["docs/metrics.md"]
	for _, name := range regexp.MustCompile(`\b(openova_flow|process|go)_\w+`).FindAllString(string(text), -1) {
		if !strings.Contains(metrics, "\n| `"+strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum")+"` |") {
			t.Errorf("no metric %s", name)
		}
	}
	_, section, _ := strings.Cut(metrics, "## See it in Grafana\n")
	block := shellBlock.FindStringSubmatch(section)
	if block == nil {
		t.Fatal("docs/metrics.md has no command")
	}
	documented := sets(typed(t, t.TempDir(), block[1])[0])
	const switched = "flowServer.dashboard.enabled=true"
	for _, tt := range []struct {
		sets        []string
		labels      map[string]string
		annotations map[string]string
	}{
		{documented, map[string]string{"grafana_dashboard": "1"}, nil},
		{[]string{switched, "flowServer.dashboard.labels.grafana_dashboard=null", "flowServer.dashboard.labels.dashboards=flux", "flowServer.dashboard.annotations.grafana_folder=Flux"},
			map[string]string{"grafana_dashboard": "", "dashboards": "flux"}, map[string]string{"grafana_folder": "Flux"}},
	} {
		files, err := render(load(t, server), values(t, tt.sets...), "flow", true)
		if err != nil {
			t.Fatal(err)
		}
		var got corev1.ConfigMap
		if err := yaml.UnmarshalStrict([]byte(files["dashboard.yaml"]), &got); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(tt.sets, "flowServer.serviceMonitor.enabled=true") != (files["servicemonitor.yaml"] != "") {
			t.Errorf("%v: %q", tt.sets, files["servicemonitor.yaml"])
		}
		if !maps.Equal(got.Data, map[string]string{"openova-flow.json": string(text)}) || !maps.Equal(got.Annotations, tt.annotations) {
			t.Errorf("%v: %v", tt.sets, got)
		}
		for name, want := range tt.labels {
			if got.Labels[name] != want {
				t.Errorf("%v: label %s is %q, want %q", tt.sets, name, got.Labels[name], want)
			}
		}
	}
	if files, err := render(load(t, server), nil, "flow", true); err != nil || files["dashboard.yaml"] != "" {
		t.Errorf("by default: %q, %v", files["dashboard.yaml"], err)
	}
}

// TestRelay_IsScraped checks that each ServiceMonitor selects one Service, and that the relay's Service, not the server's, selects the relay's pod, with the port of
// its metrics.
func TestRelay_IsScraped(t *testing.T) {
	files, err := render(load(t, server), ciFiles(t, server)["relay"], "flow", true)
	if err != nil {
		t.Fatal(err)
	}
	rendered := objects(t, files)
	all := make(map[string]object) // by kind and component
	for _, o := range rendered {
		all[o.Kind+"/"+o.Metadata.Labels["app.kubernetes.io/component"]] = o
	}
	service, pod := all["Service/relay"], at(all["Deployment/relay"].Spec, "template")
	for _, component := range []string{"relay", "server"} {
		selected := 0
		for _, o := range rendered {
			if o.Kind == "Service" && covers(o.Metadata.Labels, at(all["ServiceMonitor/"+component].Spec, "selector.matchLabels")) {
				selected++
			}
		}
		if selected != 1 {
			t.Errorf("the ServiceMonitor of the %s selects %d Services", component, selected)
		}
	}
	labels := make(map[string]string)
	for name, value := range at(pod, "metadata.labels").(map[string]any) {
		labels[name] = value.(string)
	}
	if !covers(labels, at(service.Spec, "selector")) || covers(labels, at(all["Service/server"].Spec, "selector")) {
		t.Errorf("the pod has the labels %v", labels)
	}
	port := at(service.Spec, "ports.0")
	if at(port, "targetPort") != at(pod, "spec.containers.0.ports.0.name") || at(port, "port") != at(pod, "spec.containers.0.ports.0.containerPort") ||
		at(port, "name") != at(all["ServiceMonitor/relay"].Spec, "endpoints.0.port") || all["ServiceMonitor/relay"].Metadata.Labels["release"] != "prometheus" {
		t.Errorf("%v", port)
	}
}

// covers reports whether labels match a selector. An empty selector matches nothing.
func covers(labels map[string]string, selector any) bool {
	want, _ := selector.(map[string]any)
	for name, value := range want {
		if labels[name] != value {
			return false
		}
	}
	return len(want) > 0
}
