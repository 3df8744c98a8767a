//go:build linux

package soak

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRun_FindsNoFaultInTenSeconds(t *testing.T) {
	program := filepath.Join(t.TempDir(), "openova-flow-server")
	if err := Build(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), Config{Program: program, Time: 10 * time.Second, Rate: 500, Flows: 4, Subscribers: 60, Ring: 100, Pause: 3 * time.Second,
		WriteTimeout: time.Second, DeleteOneIn: 60, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRun_RejectsARateBelowOneForEachFlow(t *testing.T) {
	if err := Run(t.Context(), Config{Program: "/nowhere", Rate: 3, Flows: 4}); err == nil || !strings.Contains(err.Error(), "rate 3") {
		t.Errorf("got %v", err)
	}
}

func TestSubscriber_RejectsMissingAndRepeatedMessages(t *testing.T) {
	s := &seen{count: 4}
	if err := s.follows(`{"type":"delete-nodes","k":5,"ids":["a"]}`, false); err != nil || s.count != 5 {
		t.Errorf("%d, %v", s.count, err)
	}
	if err := s.follows(`{"type":"delete-nodes","ids":["made by the server"]}`, false); err != nil || s.count != 5 {
		t.Errorf("%d, %v", s.count, err)
	}
	if s.follows(`{"type":"delete-nodes","k":7,"ids":["a"]}`, true) == nil {
		t.Error("a gap is accepted")
	}
	if s.follows(`{"type":"delete-nodes","k":5,"ids":["a"]}`, false) == nil {
		t.Error("a repetition is accepted")
	}
	sub := &subscriber{run: &run{}, flowID: "F", flows: map[string]*seen{}, last: 9}
	for _, f := range []frame{{"9", "snapshot", ""}, {"10", "upsert-nodes", `{"type":"delete-nodes","ids":["a"]}`}, {"11", "snapshot", "{}"}} {
		if sub.take(f, new(bool)) == nil {
			t.Errorf("%v is accepted", f)
		}
	}
}
