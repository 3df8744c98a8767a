package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

// TestRun_TimesAreByTheFlowServersClock has two equal clusters, one with a clock that is ten minutes behind. On the flow server, the
// times of their nodes must differ by at most ten seconds.
func TestRun_TimesAreByTheFlowServersClock(t *testing.T) {
	addr := freeAddr(t)
	flowServer(t, addr)
	began := time.Now()
	changed := object(3, "True", "at rest")
	changed["metadata"].(map[string]any)["generation"] = 2
	snapshots := map[time.Duration]*flow.Message{}
	for _, ahead := range []time.Duration{0, -10 * time.Minute} {
		k8s, kubeconfig := cluster(t)
		k8s.SetClock(ahead)
		put := func(o map[string]any, ago time.Duration) {
			at := began.Add(ahead - ago).UTC().Format(time.RFC3339)
			o["metadata"].(map[string]any)["creationTimestamp"] = at
			o["status"].(map[string]any)["conditions"].([]any)[0].(map[string]any)["lastTransitionTime"] = at
			k8s.Put(watch.Kinds[0].Resource, o)
		}
		put(object(1, "Unknown", "Running 'install' action with timeout of 5m0s"), 30*time.Second)
		put(object(2, "Unknown", "Running 'install' action with timeout of 5m0s"), 8*time.Minute)
		put(changed, time.Hour)
		flowID, health := fmt.Sprint("env", ahead.Minutes()), freeAddr(t)
		adapter := startAdapter(t, addr, health, kubeconfig, "FLOW_ID="+flowID)
		all := func() bool {
			m := snapshot(t, addr, flowID)
			return m != nil && len(m.Nodes) == 4
		}
		eventually(t, "all nodes are on the server", adapter.out, all)
		snapshots[ahead] = snapshot(t, addr, flowID)
		_, metrics := get("http://" + health + "/metrics")
		if want := map[bool]string{false: "0", true: "59[0-9]|60[0-9]"}[ahead != 0]; !regexp.MustCompile(`(?m)^flow_adapter_clock_offset_seconds (` + want + `)$`).MatchString(metrics) {
			t.Errorf("%v ahead, want an offset of %s s, the metrics are\n%s", ahead, want, metrics)
		}
		adapter.terminate(t)
		if strings.Contains(adapter.out.String(), "clocks of cluster and flow server differ") != (ahead != 0) {
			t.Errorf("%v ahead, the log is\n%s", ahead, adapter.out)
		}

		// The next process resumes the offset, though the clock has drifted, and so has nothing to send.
		k8s.SetClock(ahead - 3*time.Second)
		next := startAdapter(t, addr, health, kubeconfig, "FLOW_ID="+flowID)
		eventually(t, "ready", next.out, ready(health))
		if next.terminate(t); !strings.Contains(next.out.String(), `"cause":"leading","differences":0`) {
			t.Errorf("log of the next process:\n%s", next.out)
		}
	}

	right, wrong := snapshots[0], snapshots[-10*time.Minute]
	near := func(a, b flow.Time) bool {
		return a.IsZero() == b.IsZero() && time.Duration(a.Ms()-b.Ms()).Abs() <= 10_000 // a sixtieth of what the clock is off
	}
	want := map[string]insight.State{"fsn1/app-0001": insight.Working, "fsn1/app-0002": insight.Broken, "fsn1/app-0003": insight.Waiting}
	for i, n := range right.Nodes {
		w := wrong.Nodes[i]
		if n.ID != w.ID || !near(n.StartedAt, w.StartedAt) || !near(n.EndedAt, w.EndedAt) {
			t.Errorf("%s\nwant\n%s", w.JSON(), n.JSON())
		}
		if strings.Contains(string(n.Meta), "clockOffset") || !strings.Contains(string(w.Meta), `"clockOffset":`) {
			t.Errorf("meta %s\nin the other cluster %s", n.Meta, w.Meta)
		}
		for _, later := range []time.Duration{0, 4 * time.Minute, 7 * time.Minute, time.Hour} {
			at := began.Add(later).UnixMilli()
			r, w := insight.Read(right).At(at, nil), insight.Read(wrong).At(at, nil)
			if r.State(n.ID) != w.State(n.ID) || !near(r.Since(n.ID), w.Since(n.ID)) {
				t.Errorf("%s is %s since %d after %v, want %s since %d", n.ID, w.State(n.ID), w.Since(n.ID).Ms(), later, r.State(n.ID), r.Since(n.ID).Ms())
			}
			if later == 0 && n.ID != "fsn1" && r.State(n.ID) != want[n.ID] {
				t.Errorf("%s is %s", n.ID, r.State(n.ID))
			}
		}
	}
}

// TestReplay_MovesNoTimes: there is no cluster with a clock to compare with.
func TestReplay_MovesNoTimes(t *testing.T) {
	h := hub.New(hub.Config{})
	api := httpapi.New(h, httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		api.ServeHTTP(w, r)
	}))
	defer server.Close()
	tape := "fsn1=" + recordings + "kit-fsn1.jsonl"
	if _, errs, err := call(t, map[string]string{"FLOW_SERVER_URL": server.URL, "FLOW_ID": "replay"}, "", "replay", "--speed", "max", tape); err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	got, err := h.Snapshot("replay")
	if err != nil {
		t.Fatal(err)
	}
	m, err := flow.Decode("replay", []byte(got.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, n := range fold(t, "replay", dryRun(t, nil, "", tape)).Snapshot().Nodes {
		want[n.ID] = n.JSON()
	}
	if len(m.Nodes) != len(want) {
		t.Errorf("%d nodes, want %d", len(m.Nodes), len(want))
	}
	for _, n := range m.Nodes {
		if n.JSON() != want[n.ID] {
			t.Errorf("%s\nwant\n%s", n.JSON(), want[n.ID])
		}
	}
}
