package alerts

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

const alertsFile = "../../platform/openova-flow-server/chart/alerts.yaml"

type rule struct{ Alert, Expr string }

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	read(t, alertsFile, &file)
	if len(file.Groups) != 1 || len(file.Groups[0].Rules) == 0 {
		t.Fatalf("%+v", file)
	}
	return file.Groups[0].Rules
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(path, err)
	}
}

func TestRules_PassPromtool(t *testing.T) {
	promtool := filepath.Join(t.TempDir(), "promtool")
	// The tag leaves out service discovery, which would take most of the time of the build.
	if out, err := exec.Command("go", "build", "-tags", "remove_all_sd", "-o", promtool, "github.com/prometheus/prometheus/cmd/promtool").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{"check", "rules", "--lint=all", "--lint-fatal", alertsFile}, {"test", "rules", "rules.yaml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestRules_EachAlertIsTested checks that rules.yaml has each alert before it fires, when it fires, and when it no longer does.
func TestRules_EachAlertIsTested(t *testing.T) {
	var file struct {
		Tests []struct {
			Cases []struct {
				Alert  string `json:"alertname"`
				Expect []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	read(t, "rules.yaml", &file)
	for _, r := range rules(t) {
		course := "" // for each case of the alert: s if it is silent, F if it fires
		for _, test := range file.Tests {
			for _, c := range test.Cases {
				switch {
				case c.Alert != r.Alert:
				case len(c.Expect) == 0:
					course += "s"
				default:
					course += "F"
				}
			}
		}
		if len(course) < 3 || course[:2] != "sF" || course[len(course)-1] != 's' {
			t.Errorf("%s: its cases are %q, want s, then F, and s at the end", r.Alert, course)
		}
	}
}
