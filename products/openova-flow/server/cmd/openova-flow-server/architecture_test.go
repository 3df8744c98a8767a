package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocs_Architecture checks that each row of ARCHITECTURE.md names files that exist, and functions in them.
func TestDocs_Architecture(t *testing.T) {
	text, err := os.ReadFile("../../../../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.Contains(cells[2], "/") || !quoted.MatchString(cells[3]) {
			continue
		}
		rows++
		var code strings.Builder
		for _, file := range quoted.FindAllStringSubmatch(cells[2], -1) {
			b, err := os.ReadFile("../../../" + file[1])
			if err != nil {
				t.Error(err)
			}
			code.Write(b)
		}
		for _, name := range quoted.FindAllStringSubmatch(cells[3], -1) {
			function := name[1][strings.LastIndexByte(name[1], '.')+1:]
			if !regexp.MustCompile(`\b` + function + `\b`).MatchString(code.String()) {
				t.Errorf("%s is not in %s", name[1], cells[2])
			}
		}
	}
	if rows != 19 {
		t.Errorf("%d rows, want 19", rows)
	}
}
