package install

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestModes_Workloads(t *testing.T) {
	const data = "template.spec.volumes.1.persistentVolumeClaim.claimName"
	for _, tt := range []struct {
		ci, kind, image string
		replicas        int
		env             string
		budget, spread  int
		spec            map[string]any
	}{
		{"defaults", "Deployment", "openova-flow-server", 1, "", 0, 0, map[string]any{"strategy.type": "RollingUpdate", "volumeClaimTemplates": nil, data: nil}},
		{"insecure", "Deployment", "openova-flow-server", 1, "FLOW_SERVER_STATE_FILE", 0, 0, map[string]any{"strategy.type": "RollingUpdate", "template.spec.volumes.0.name": "state"}},
		{"embedded", "StatefulSet", "openova-flow-server-jetstream", 1, "FLOW_SERVER_DATA_DIR FLOW_SERVER_SYNC", 0, 0, map[string]any{
			"serviceName":                          "flow-openova-flow-server",
			"volumeClaimTemplates.0.metadata.name": "state",
			"volumeClaimTemplates.0.spec.resources.requests.storage": "20Gi",
			"volumeClaimTemplates.0.spec.storageClassName":           "fast",
			data: nil,
		}},
		{"embedded-claim", "StatefulSet", "openova-flow-server-jetstream", 1, "FLOW_SERVER_DATA_DIR FLOW_SERVER_SYNC", 0, 0, map[string]any{"volumeClaimTemplates": nil, data: "flow-data"}},
		{"jetstream", "Deployment", "openova-flow-server-jetstream", 3, "FLOW_SERVER_STREAM_NAME FLOW_SERVER_STREAM_REPLICAS NATS_URL", 1, 2, map[string]any{"strategy.type": "RollingUpdate", "strategy.rollingUpdate.maxUnavailable": float64(0), "volumeClaimTemplates": nil}},
		{"jetstream-spread", "Deployment", "openova-flow-server-jetstream", 2, "FLOW_SERVER_STREAM_NAME FLOW_SERVER_STREAM_REPLICAS NATS_URL", 1, 1, map[string]any{"template.spec.topologySpreadConstraints.0.topologyKey": "rack"}},
	} {
		t.Run(tt.ci, func(t *testing.T) {
			files, err := render(load(t, server), ciFiles(t, server)[tt.ci], "flow", true)
			if err != nil {
				t.Fatal(err)
			}
			budgets, workloads := 0, 0
			for _, o := range objects(t, files) {
				if o.Kind == "PodDisruptionBudget" {
					budgets++
				}
				if o.Spec["template"] == nil {
					continue
				}
				workloads++
				want(t, tt.ci, o.Spec, tt.spec)
				want(t, tt.ci, o.Spec, map[string]any{"replicas": float64(tt.replicas)})
				image, _, _ := strings.Cut(path.Base(at(o.Spec, "template.spec.containers.0.image").(string)), ":")
				if o.Kind != tt.kind || image != tt.image {
					t.Errorf("kind %s, image %s", o.Kind, image)
				}
				var env []string
				for _, e := range at(o.Spec, "template.spec.containers.0.env").([]any) {
					switch name := at(e, "name").(string); name {
					case "FLOW_SERVER_STATE_FILE", "FLOW_SERVER_DATA_DIR", "FLOW_SERVER_SYNC", "FLOW_SERVER_STREAM_NAME", "FLOW_SERVER_STREAM_REPLICAS", "NATS_URL":
						env = append(env, name)
					}
				}
				if got := joined(env); got != tt.env {
					t.Errorf("storage setting %s", got)
				}
				spread, _ := at(o.Spec, "template.spec.topologySpreadConstraints").([]any)
				if len(spread) != tt.spread {
					t.Errorf("spread constraints %v", spread)
				}
				if note := fmt.Sprintf("rollout status %s/%s\n", strings.ToLower(tt.kind), o.Metadata.Name); !strings.Contains(files["NOTES.txt"], note) {
					t.Errorf("notes:\n%s", files["NOTES.txt"])
				}
			}
			if workloads != 1 || budgets != tt.budget {
				t.Errorf("%d workloads and %d budgets", workloads, budgets)
			}
		})
	}
}

func joined(names []string) string {
	slices.Sort(names)
	return strings.Join(names, " ")
}
