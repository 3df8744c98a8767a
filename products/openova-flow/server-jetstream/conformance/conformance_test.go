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

var nodes = flag.Int("nodes", 1, "NATS servers of the cluster, 1 or 3; 3 take minutes more")

// suites are the packages whose tests are the contract.
var suites = []string{"github.com/openova-io/openova/products/openova-flow/server/httpapi"}

// runSuites runs the core server's tests with hubs on a log. Only the file that makes a hub is another.
func runSuites(t *testing.T, env ...string) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(here, "../../server/httpapi/hub_test.go"): filepath.Join(here, "hub_test.go.overlay"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-trimpath", "-count=1", "-timeout=20m", "-v", "-overlay=" + file}, suites...)...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...) // as what is released is built, which is compiled already
	out, err := cmd.CombinedOutput()
	passed := strings.Count(string(out), "\n--- PASS: ")
	if err != nil || passed < 30 {
		t.Fatalf("%v, %d tests passed\n%s", err, passed, failures(string(out)))
	}
	t.Logf("%d tests passed", passed)
}

// failures leaves out what passed.
func failures(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if s := strings.TrimSpace(line); !strings.HasPrefix(s, "=== ") && !strings.HasPrefix(s, "--- PASS") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestTheContractHoldsInEmbeddedMode(t *testing.T) {
	runSuites(t, "FLOW_TEST_DATA_DIR="+t.TempDir())
}

func TestTheContractHoldsOnACluster(t *testing.T) {
	c := natstest.Start(t, *nodes)
	runSuites(t, "FLOW_TEST_NATS_URL="+c.URL(), fmt.Sprint("FLOW_TEST_REPLICAS=", *nodes))
}
