//go:build linux

package soak

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func TestPublisher_NodesDiffer(t *testing.T) {
	p := newPublisher(&run{}, 0)
	statuses, sizes := map[string]bool{}, map[int]bool{}
	for range 100 {
		m, err := flow.Decode(p.flowID, []byte(`{"type":"upsert-nodes","nodes":[`+p.node()+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		statuses[m.Nodes[0].Status] = true
		sizes[len(m.Nodes[0].Meta)] = true
	}
	if len(statuses) != 4 || len(sizes) < 20 {
		t.Errorf("statuses %v, %d sizes", statuses, len(sizes))
	}
}

func TestPublisher_FailsAfterTheEndOfTheLoad(t *testing.T) {
	requests := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if requests++; requests > 1 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	ended := make(chan struct{})
	close(ended)
	p := newPublisher(&run{url: srv.URL, client: srv.Client(), ended: ended}, 0)
	if err := p.post(p.request()); err == nil || requests != 1 {
		t.Errorf("got %v after %d requests, want an error after one", err, requests)
	}
}

// TestPublisher_RepeatsRequests refuses the first two requests of each kind, as a server does that is starting or at a limit.
func TestPublisher_RepeatsRequests(t *testing.T) {
	requests := map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Method + " " + r.URL.Path
		requests[key]++
		switch {
		case requests[key] == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case requests[key] == 2:
			w.WriteHeader(http.StatusTooManyRequests)
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodGet:
			w.WriteHeader(http.StatusNotFound)
		case r.Header.Get("Flow-If-Incarnation") == "none" && r.URL.Path == "/v1/flows/flow0/events":
			w.Header().Set("Flow-Incarnation", "1")
		default:
			w.WriteHeader(http.StatusPreconditionFailed)
		}
	}))
	defer srv.Close()
	p := newPublisher(&run{url: srv.URL, client: srv.Client()}, 0)
	if err := p.post(p.request()); err != nil {
		t.Fatal(err)
	}
	p.incarnation = "old"
	p.run.kills.Store(1) // so the flow may be lost
	for range 3 {
		if err := p.resync("none"); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.deleteRegion("r1"); err != nil {
		t.Error(err)
	}
	if err := p.deleteFlow(); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"GET /v1/flows/flow0/snapshot", "POST /v1/flows/flow0/events", "DELETE /v1/flows/flow0", "DELETE /v1/flows/flow0/regions/r1"} {
		if requests[key] < 3 {
			t.Errorf("%s: %d requests", key, requests[key])
		}
	}
}
