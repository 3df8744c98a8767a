package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestCheck_ChartsAndKitHaveOneVersion(t *testing.T) {
	text, err := os.ReadFile("../../platform/openova-flow-server/chart/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^version: (\S+)$`).FindStringSubmatch(string(text))
	if err := run(t.Context(), []string{"check", "--root", "../..", "--version", version[1]}, nil, nil); err != nil {
		t.Error(err)
	}
	err = run(t.Context(), []string{"check", "--root", "../..", "--version", version[1] + "-other"}, nil, nil)
	if err == nil || strings.Count(err.Error(), " has version ") != len(stated) {
		t.Errorf("with a different version: %v", err)
	}
}
