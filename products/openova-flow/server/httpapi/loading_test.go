package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// unloaded is a log that is not loaded yet.
type unloaded struct{}

func (unloaded) Append(record.Command) (hub.Outcome, error) {
	return hub.Outcome{}, &hub.UnavailableError{Detail: "not loaded"}
}
func (unloaded) Sync() error           { return nil }
func (unloaded) Status() hub.LogStatus { return hub.LogStatus{} }

// TestServer_AnswersNoRequestForFlowsBeforeTheyAreLoaded: to a client, a flow that is not loaded yet would look deleted.
func TestServer_AnswersNoRequestForFlowsBeforeTheyAreLoaded(t *testing.T) {
	api := httpapi.New(hub.New(hub.Config{Log: unloaded{}}), httpapi.Config{})
	api.SetReady(true)
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 503, "/": 200, "/metrics": 200,
		"/v1/me": 503, "/v1/flows": 503, "/v1/stream": 503, "/v1/flows/F/snapshot": 503, "/v1/flows/F/stream": 503, "/v1/flows/F/events": 503,
	} {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want || want == 503 && w.Header().Get("Retry-After") == "" {
			t.Errorf("GET %s: %d %v, want %d", path, w.Code, w.Header(), want)
		}
		if path == "/metrics" && strings.Contains(w.Body.String(), "openova_flow_flow_nodes") {
			t.Error("/metrics has metrics of flows")
		}
	}
}

// lagging is a log with an entry that its hub applies on Sync.
type lagging struct {
	unloaded
	sync func()
}

func (l *lagging) Sync() error         { l.sync(); return nil }
func (*lagging) Status() hub.LogStatus { return hub.LogStatus{Loaded: true} }

func TestSnapshot_NotModifiedAfterTheHubCaughtUp(t *testing.T) {
	m, err := flow.Decode("F", []byte(upsert(node("a", "running"))))
	if err != nil {
		t.Fatal(err)
	}
	entry := hub.Entry{Seq: 1, At: 1, Birth: "b1", Command: record.Command{Kind: record.KindPost, Post: record.Post{FlowID: "F", Messages: []*flow.Message{m}}}}
	get := func(caughtUp bool, etag string) *httptest.ResponseRecorder {
		log := &lagging{}
		h := hub.New(hub.Config{Log: log})
		log.sync = func() { h.Apply(entry) }
		if caughtUp {
			log.sync()
		}
		api := httpapi.New(h, httpapi.Config{})
		api.SetReady(true)
		r, w := httptest.NewRequest(http.MethodGet, "/v1/flows/F/snapshot", nil), httptest.NewRecorder()
		r.Header.Set("If-None-Match", etag)
		api.ServeHTTP(w, r)
		return w
	}
	etag := get(true, `"none"`).Header().Get("ETag")
	if w := get(false, etag); w.Code != 304 || w.Header().Get("ETag") != etag || w.Header().Get("Flow-Incarnation") != "b1" || w.Body.Len() > 0 {
		t.Errorf("If-None-Match %s: %d %v %s", etag, w.Code, w.Header(), w.Body)
	}
}
