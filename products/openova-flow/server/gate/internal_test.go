package gate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func TestRepository_TimeoutIsTheCause(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "git"), []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	before := gitTimeout
	gitTimeout = 50 * time.Millisecond
	defer func() { gitTimeout = before }()
	if _, err := OpenRepository(dir); err == nil || !strings.Contains(err.Error(), "50ms") {
		t.Errorf("%v, want an error that names the timeout", err)
	}
}

// TestGate_ForgetsEarlierGenerations has a failed release whose generation changes before its controller has observed it.
func TestGate_ForgetsEarlierGenerations(t *testing.T) {
	g := New(Ask{})
	for generation := range 5 {
		meta := fmt.Sprintf(`{"kind":"HelmRelease","generation":%d,"observedGeneration":1,"judgement":{"state":"broken","problem":true}}`, generation+2)
		m := &flow.Message{Flow: &flow.Instance{ID: "F"}, Nodes: []flow.Node{{ID: "r/a", FlowID: "F", Label: "a", Status: "failed", Region: "r", Meta: flow.Object(meta)}}}
		g.Look(Look{State: Read(m), At: 1_000_000})
		if len(g.changes) != 1 {
			t.Errorf("%d changes are kept, want 1", len(g.changes))
		}
	}
}
