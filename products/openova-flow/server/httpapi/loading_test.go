package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
