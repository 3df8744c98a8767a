package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pinned is an action by the digest of its commit, with the version for people, or a workflow of this repository.
var pinned = regexp.MustCompile(`^(\./\S+|[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$`)

func TestActionsArePinnedByDigest(t *testing.T) {
	files, err := filepath.Glob("../../.github/workflows/*")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no workflows: ", err)
	}
	versions := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			_, uses, ok := strings.Cut(strings.TrimSpace(line), "uses: ")
			if !ok {
				continue
			}
			if !pinned.MatchString(uses) {
				t.Errorf("%s uses %s: pin it by its 40 digits, with the version as a comment", file, uses)
			}
			if action, version, ok := strings.Cut(uses, "@"); ok {
				if other := versions[action]; other != "" && other != version {
					t.Errorf("%s uses %s at %s, and at %s elsewhere", file, action, version, other)
				}
				versions[action] = version
			}
		}
		if !strings.Contains(string(text), "\npermissions: {}\n") {
			t.Errorf("%s gives its jobs rights that they don't ask for: begin with permissions: {}", file)
		}
	}
}
