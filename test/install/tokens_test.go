package install

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// secretsOf returns the values of a machine's Secrets, by name/key.
func secretsOf(t *testing.T, machine string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("cloudinit/testdata", machine+".golden.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var given struct {
		WriteFiles []struct{ Path, Content string } `json:"write_files"`
	}
	if err := yaml.Unmarshal(text, &given); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range given.WriteFiles {
		if !strings.HasSuffix(f.Path, "/openova-flow-secrets.yaml") {
			continue
		}
		for _, doc := range strings.Split(f.Content, "\n---\n") {
			var o struct {
				Metadata   struct{ Name string }
				StringData map[string]string `json:"stringData"`
			}
			if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
				t.Fatal(err)
			}
			for key, value := range o.StringData {
				out[o.Metadata.Name+"/"+key] = value
			}
		}
	}
	return out
}

// mounted returns name/key of the Secret that a workload's pod mounts as the file of a variable.
func mounted(t *testing.T, o object, variable string) string {
	t.Helper()
	var path string
	env, _ := at(o.Spec, "template.spec.containers.0.env").([]any)
	for _, e := range env {
		if at(e, "name") == variable {
			path, _ = at(e, "value").(string)
		}
	}
	mounts, _ := at(o.Spec, "template.spec.containers.0.volumeMounts").([]any)
	volumes, _ := at(o.Spec, "template.spec.volumes").([]any)
	for _, m := range mounts {
		for _, v := range volumes {
			name, ok := at(v, "secret.secretName").(string)
			if ok && at(m, "name") == at(v, "name") && at(m, "mountPath") == filepath.Dir(path) {
				return name + "/" + filepath.Base(path)
			}
		}
	}
	t.Fatalf("%s of %s is %q, not a file of a Secret", variable, o.Metadata.Name, path)
	return ""
}

func workloadOf(t *testing.T, kit, release, chart string) object {
	t.Helper()
	v, _ := at(build(t, kit, map[string]string{"SOVEREIGN_FQDN": "example.com", "REGION_KEY": "fsn1"}, false)["HelmRelease/"+release], "spec.values").(map[string]any)
	files, err := render(load(t, chart), v, release, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects(t, files) {
		if o.Spec["template"] != nil {
			return o
		}
	}
	t.Fatal("no pods in ", release)
	return object{}
}

// TestKit_RegionsWriteOnlyTheirOwn checks the machines' Secrets, as the kit's pods mount them, with the server's access control.
func TestKit_RegionsWriteOnlyTheirOwn(t *testing.T) {
	tokens := map[string]string{}
	primary := secretsOf(t, "primary")
	for region, machine := range map[string]string{"fsn1": "primary", "hel1": "secondary"} {
		kit := map[string]string{"primary": "bootstrap-kit", "secondary": "bootstrap-kit-secondary"}[machine]
		tokens[region] = secretsOf(t, machine)[mounted(t, workloadOf(t, kit, "bp-openova-flow-emitter", emitter), "FLOW_TOKEN_FILE")]
	}
	file := filepath.Join(t.TempDir(), "tokens.json")
	content := primary[mounted(t, workloadOf(t, "bootstrap-kit", "bp-openova-flow-server", server), "FLOW_SERVER_TOKENS_FILE")]
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := auth.Load(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const id = "4711"
	node := func(region, id string) *flow.Message {
		return flow.UpsertNodes(flow.Node{ID: id, FlowID: "4711", Label: "x", Status: "running", Region: region})
	}
	edge := flow.RelKey{FromID: "hel1/a", ToID: "fsn1/a", Type: "finish-to-start"}
	for _, own := range []string{"fsn1", "hel1"} {
		other := map[string]string{"fsn1": "hel1", "hel1": "fsn1"}[own]
		g, err := a.Check(t.Context(), auth.Bearer(tokens[own]))
		if err != nil {
			t.Fatalf("%s: %v", own, err)
		}
		for _, tt := range []struct {
			what  string
			error error
			may   bool
		}{
			{"reads its flow", g.CheckRead(id), true},
			{"reads another flow", g.CheckRead("other"), false},
			{"deletes its flow", g.CheckDelete(id), false},
			{"writes a node of its own", g.CheckWrite(id, []*flow.Message{node(own, own+"/a")}), true},
			{"writes its own region's node", g.CheckWrite(id, []*flow.Message{node(own, own)}), true},
			{"writes a node of the other", g.CheckWrite(id, []*flow.Message{node(other, other+"/a")}), false},
			{"writes a node of the other as its own", g.CheckWrite(id, []*flow.Message{node(own, other+"/a")}), false},
			{"hides a node of the other in a batch", g.CheckWrite(id, []*flow.Message{node(own, own+"/a"), node(other, other+"/a")}), false},
			{"writes a node whose region begins like its own", g.CheckWrite(id, []*flow.Message{node(own, own+"0/a")}), false},
			{"deletes a node of its own", g.CheckWrite(id, []*flow.Message{flow.DeleteNodes(own + "/a")}), true},
			{"deletes a node of the other", g.CheckWrite(id, []*flow.Message{flow.DeleteNodes(other + "/a")}), false},
			{"deletes an edge to fsn1", g.CheckWrite(id, []*flow.Message{flow.DeleteRels(edge)}), own == "fsn1"},
			{"sets the flow", g.CheckWrite(id, []*flow.Message{flow.UpsertFlow(flow.Instance{ID: id, Status: "failed"})}), false},
			{"writes its own node into another flow", g.CheckWrite("other", []*flow.Message{node(own, own+"/a")}), false},
		} {
			if (tt.error == nil) != tt.may {
				t.Errorf("the token of %s %s: %v", own, tt.what, tt.error)
			}
		}
		if _, err := a.Check(t.Context(), auth.Bearer(tokens[own]+"x")); err == nil {
			t.Errorf("the token of %s with another character at its end is accepted", own)
		}
	}
	people, err := a.Check(t.Context(), auth.Bearer("token-of-people-"+strings.Repeat("x", 32)))
	if err != nil || !people.CanAdmin(id) || !people.CanAdmin("other") || people.Bound() {
		t.Errorf("the people's token is no admin: %v", err)
	}
	if _, err := a.Check(t.Context(), auth.Bearer("")); err == nil {
		t.Error("an empty token is accepted")
	}
}

func TestEmitter_ServiceAccountTokenIsProjected(t *testing.T) {
	files, err := render(load(t, emitter), values(t, "flowEmitter.auth.serviceAccountToken.enabled=true"), "e", true)
	if err != nil {
		t.Fatal(err)
	}
	workloads := 0
	for _, o := range objects(t, files) {
		if o.Kind != "DaemonSet" {
			continue
		}
		workloads++
		want(t, "emitter", o.Spec, map[string]any{
			"template.spec.volumes.0.projected.sources.0.serviceAccountToken.audience":          "openova-flow",
			"template.spec.volumes.0.projected.sources.0.serviceAccountToken.expirationSeconds": float64(3600),
			"template.spec.volumes.0.projected.sources.0.serviceAccountToken.path":              "token",
			"template.spec.volumes.0.secret":                                                    nil,
			"template.spec.containers.0.volumeMounts.0.mountPath":                               "/etc/openova-flow/token",
			"template.spec.serviceAccountName":                                                  "e-openova-flow-emitter",
		})
		env := strings.Join(environment(t, o, "shown"), " ")
		if !strings.Contains(env, "FLOW_TOKEN_FILE=shown") {
			t.Error("FLOW_TOKEN_FILE does not name the projected token: ", env)
		}
	}
	if workloads != 1 {
		t.Errorf("%d DaemonSets, want 1", workloads)
	}
	if !strings.Contains(files["NOTES.txt"], "system:serviceaccount:openova-flow:e-openova-flow-emitter\n") {
		t.Error("the notes lack the subject to trust:\n", files["NOTES.txt"])
	}
}
