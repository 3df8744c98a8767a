package install

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestServer_Alerts checks that the chart renders the rules unchanged, that they use existing metrics, and that docs/alerts.md has a section for each.
func TestServer_Alerts(t *testing.T) {
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
