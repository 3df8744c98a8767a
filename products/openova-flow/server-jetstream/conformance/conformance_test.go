package conformance

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/internal/natstest"
)

var (
	nodes = flag.Int("nodes", 1, "NATS servers of the cluster, 1 or 3; 3 take minutes more")
	full  = flag.Bool("full", false, "send all requests of the authorization matrix")
)

// suite is a package of the server module whose tests also run over a log. The overlay replaces the file that creates the hub.
type suite struct {
	folder        string // in the server module
	file, overlay string
	tests         int // the least number that must pass
	args          []string
}

var (
	contract = suite{folder: "httpapi", file: "hub_test.go", overlay: "hub_test.go.overlay", tests: 30}
	matrix   = suite{folder: "internal/matrix", file: "log_test.go", overlay: "matrix_log_test.go.overlay", tests: 2}
)

// run runs the suite's tests over a log.
func (s suite) run(t *testing.T, env ...string) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(here, "../../server", s.folder, s.file): filepath.Join(here, s.overlay),
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-trimpath", "-count=1", "-timeout=20m", "-skip=^TestMeasure_", "-v", "-overlay=" + file,
		"github.com/openova-io/openova/products/openova-flow/server/" + s.folder}, s.args...)...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...) // like a release, so that packages are compiled once
	out, err := cmd.CombinedOutput()
	passed := strings.Count(string(out), "\n--- PASS: ")
	if err != nil || passed < s.tests {
		t.Fatalf("%v, %d tests passed\n%s", err, passed, failures(string(out)))
	}
	t.Logf("%d tests passed", passed)
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, " requests, ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// failures returns the output of go test without its lines on started and passed tests.
func failures(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if s := strings.TrimSpace(line); !strings.HasPrefix(s, "=== ") && !strings.HasPrefix(s, "--- PASS") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestMain(m *testing.M) { natstest.Main(m) }

func TestConformance_HTTPAPIEmbedded(t *testing.T) {
	contract.run(t, "FLOW_TEST_DATA_DIR="+t.TempDir())
}

// TestConformance_MatrixEmbedded runs the authorization matrix. One server is enough: replicas share no authorization.
func TestConformance_MatrixEmbedded(t *testing.T) {
	s := matrix
	if *full {
		s.args = []string{"-full"}
	}
	s.run(t, "FLOW_TEST_DATA_DIR="+t.TempDir())
}

func TestConformance_HTTPAPIOnACluster(t *testing.T) {
	c := natstest.Start(t, *nodes)
	contract.run(t, "FLOW_TEST_NATS_URL="+c.URL(), fmt.Sprint("FLOW_TEST_REPLICAS=", *nodes))
}
