package cloudinit

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

const product = repository + "/products/openova-flow"

func build(t *testing.T, module, program string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), program)
	cmd := exec.Command("go", "build", "-o", file, "./cmd/"+program)
	cmd.Dir = filepath.Join(product, module)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

// start runs a server with a tokens file and returns its URL.
func start(t *testing.T, program, tokens string) string {
	t.Helper()
	cmd := exec.Command(program, "--listen-addr=127.0.0.1:0", "--drain-delay=0s")
	cmd.Env = append(os.Environ(), "FLOW_SERVER_TOKENS_FILE="+tokens, "FLOW_SERVER_LOG_FORMAT=text")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	var text strings.Builder
	for lines := bufio.NewScanner(log); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if url := regexp.MustCompile(`msg=started url=(http://\S+)/ `).FindStringSubmatch(lines.Text()); url != nil {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return url[1]
		}
	}
	t.Fatalf("the server does not start:\n%s", text.String())
	return ""
}

// TestDeployment_AdaptersReportAndAccessIsLimited runs the server with the primary's tokens file, and an adapter for each region with its machine's token, flow id and
// region. Then it checks the nodes, and which requests the server allows.
func TestDeployment_AdaptersReportAndAccessIsLimited(t *testing.T) {
	out, _ := newWorkspace(t).apply(t, deployment())
	ingest, tokens := credentials(t, out, "fsn1")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "tokens.json"), tokens)
	program := build(t, "server", "openova-flow-server")
	url := start(t, program, filepath.Join(dir, "tokens.json"))

	adapter := build(t, "adapter-flux", "openova-flow-adapter-flux")
	recordings := filepath.Join(product, "adapter-flux/testdata/recordings")
	for region, userData := range out.UserData {
		built, _ := buildKit(t, parse(t, userData).manifests(t))
		emitter := at(built["HelmRelease/bp-openova-flow-emitter"], "spec", "values", "flowEmitter")
		write(t, filepath.Join(dir, region), ingest[region])
		cmd := exec.Command(adapter, "replay", "--speed=max", at(emitter, "regionKey").(string)+"="+filepath.Join(recordings, "kit-"+region+".jsonl"))
		cmd.Env = append(os.Environ(), "FLOW_SERVER_URL="+url, "FLOW_ID="+at(emitter, "flowId").(string), "FLOW_TOKEN_FILE="+filepath.Join(dir, region))
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", region, err, text)
		}
	}

	code, body := ask(t, url+"/v1/flows/4711/snapshot", out.Operator, "")
	var snapshot struct {
		Nodes []struct{ ID, FlowID, Region string }
	}
	if err := json.Unmarshal([]byte(body), &snapshot); code != http.StatusOK || err != nil {
		t.Fatalf("%d %v\n%s", code, err, body)
	}
	regionOfNode := map[string]string{}
	for _, n := range snapshot.Nodes {
		regionOfNode[n.ID] = n.Region
	}
	for region := range out.UserData {
		text, err := os.ReadFile(filepath.Join(recordings, "kit-"+region+".truth.json"))
		var releases []struct{ Name string }
		if err == nil {
			err = json.Unmarshal(text, &releases)
		}
		if err != nil || len(releases) < 20 {
			t.Fatalf("%v, %d releases", err, len(releases))
		}
		for _, r := range releases {
			if regionOfNode[region+"/"+r.Name] != region {
				t.Errorf("no node %s/%s", region, r.Name)
			}
		}
	}
	checkAccess(t, url, out, ingest)
}

// checkAccess sends requests without and with the deployment's tokens, and checks which the server allows.
func checkAccess(t *testing.T, url string, out outputs, ingest map[string]string) {
	t.Helper()
	node := func(region string) string {
		return `{"type":"upsert-nodes","nodes":[{"id":"` + region + `/x","flowId":"4711","label":"x","status":"running","region":"` + region + `"}]}`
	}
	const flow = "/v1/flows/4711"
	for _, tt := range []struct {
		name, path, token, body string
		want                    int
	}{
		{"no token reads", flow + "/snapshot", "", "", 401},
		{"no token writes", flow + "/events", "", node("fsn1"), 401},
		{"a wrong token", flow + "/events", "ofl_" + strings.Repeat("A", 43), node("fsn1"), 401},
		{"an emitter reads its flow", flow + "/snapshot", ingest["hel1"], "", 200},
		{"an emitter writes its region", flow + "/events", ingest["hel1"], node("hel1"), 200},
		{"an emitter writes another region", flow + "/events", ingest["hel1"], node("fsn1"), 403},
		{"an emitter deletes a node of another region", flow + "/events", ingest["hel1"], `{"type":"delete-nodes","ids":["fsn1/x"]}`, 403},
		{"an emitter sets the flow", flow + "/events", ingest["hel1"], `{"type":"upsert-flow","flow":{"id":"4711","status":"failed","startedAt":1}}`, 403},
		{"no token reads metrics", "/metrics", "", "", 401},
		{"a person reads metrics", "/metrics", out.Operator, "", 200},
		{"the kubelet probes liveness", "/healthz", "", "", 200},
		{"the kubelet probes readiness", "/readyz", "", "", 200},
		{"an emitter writes another flow", "/v1/flows/other/events", ingest["hel1"], strings.ReplaceAll(node("hel1"), "4711", "other"), 403},
		{"a person reads", flow + "/snapshot", out.Operator, "", 200},
	} {
		if code, body := ask(t, url+tt.path, tt.token, tt.body); code != tt.want {
			t.Errorf("%s: %d, want %d\n%s", tt.name, code, tt.want, body)
		}
	}
}

// ask sends a POST with body, or a GET if body is empty.
func ask(t *testing.T, url, token, body string) (int, string) {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
