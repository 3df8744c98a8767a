package httpapi_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// exchange sends a request with exactly this target, follows no redirect, and returns the answer.
func (e *env) exchange(method, target string, header ...string) answer {
	e.t.Helper()
	conn := e.dial()
	_ = conn.SetReadDeadline(time.Now().Add(within))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, target, strings.Join(append(header, ""), "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		e.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	body := new(strings.Builder)
	_, _ = bufio.NewReader(resp.Body).WriteTo(body)
	return answer{resp.StatusCode, resp.Header, body.String()}
}

// TestRoutes_PathsAreTakenLiterally: net/http's mux would redirect many of these paths to their clean form.
func TestRoutes_PathsAreTakenLiterally(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	for _, base := range []string{"", "/base"} {
		e := start(t, hub.Config{}, httpapi.Config{BasePath: base + "/", Page: page})
		if a := e.do("POST", base+"/v1/flows/F/events", upsert(node("a", "x")), "Content-Type", asJSON); a.status != 200 {
			t.Fatal(a.status, a.body)
		}
		for _, tt := range []struct {
			method, path string
			status       int
			field        string
		}{
			{"GET", "/v1/flows/../snapshot", 400, "flowId"},
			{"GET", "/v1/flows/./snapshot", 400, "flowId"},
			{"GET", "/v1/flows//snapshot", 400, "flowId"},
			{"GET", "/v1/flows/%2e%2e/snapshot", 400, "flowId"},
			{"GET", "/v1/flows/%2E/snapshot", 400, "flowId"},
			{"GET", "/v1/flows/F%2F..%2FF/snapshot", 400, "flowId"},
			{"GET", "/v1/flows/%FF/snapshot", 400, "flowId"},
			{"DELETE", "/v1/flows/", 400, "flowId"},
			{"DELETE", "/v1/flows/..", 400, "flowId"},
			{"PUT", "/v1/flows/F/regions/", 400, "region"},
			{"DELETE", "/v1/flows/F/regions/%FF", 400, "region"},
			{"GET", "/v1/flows/x/../F/snapshot", 404, ""},
			{"GET", "/v1/./flows/F/snapshot", 404, ""},
			{"GET", "/v1/flows/F//snapshot", 404, ""},
			{"GET", "/v1/flows/F/snapshot/", 404, ""},
			{"GET", "/v1/flows/F/snapshot/..", 404, ""},
			{"GET", "/v1//me", 404, ""},
			{"GET", "/v1/", 404, ""},
			{"PUT", "/v1/flows/F/nothing", 404, ""},
			{"DELETE", "/v1/flows/F/regions/a/b", 404, ""},
			{"GET", "/v1/flows/", 405, ""},
			{"PUT", "/v1/flows/F/regions", 405, ""},
			{"PUT", "/v1/flows/../snapshot", 405, ""},
		} {
			a := e.exchange(tt.method, base+tt.path)
			if p := isProblem(t, a, tt.status); p.Field != tt.field {
				t.Errorf("%s %s: field %q, want %q", tt.method, base+tt.path, p.Field, tt.field)
			}
		}
		for _, path := range []string{"//v1/flows/F/snapshot", "/assets/../v1/flows/F/snapshot", "/../v1/flows/F/snapshot", "/healthz/", "/./healthz", "/healthz/../v1/me"} {
			if a := e.exchange("GET", base+path); a.status != 404 {
				t.Errorf("GET %s: %d %s", base+path, a.status, a.body)
			}
		}
		if a := e.exchange("DELETE", base+"/v1/flows/F/regions/%2E%2E"); a.status != 204 {
			t.Errorf("DELETE of the region .. : %d %s, want 204", a.status, a.body)
		}
		isProblem(t, e.exchange("CONNECT", base+"/v1/flows/F/snapshot"), 405)
		want := map[string]int{"": 405, "/base": 404}[base]
		w := httptest.NewRecorder()
		e.api.ServeHTTP(w, httptest.NewRequest("OPTIONS", "*", nil))
		isProblem(t, answer{w.Code, w.Header(), w.Body.String()}, want)
	}
}

func TestRoutes_BasePathWithoutSlashIsRedirectedWithItsQuery(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{BasePath: "/base/"})
	for target, want := range map[string]string{"/base": "/base/", "/base?flow=F&x=%20": "/base/?flow=F&x=%20"} {
		if a := e.exchange("GET", target); a.status != http.StatusPermanentRedirect || a.header.Get("Location") != want {
			t.Errorf("GET %s: %d to %q, want %q", target, a.status, a.header.Get("Location"), want)
		}
	}
}

func TestRoutes_HealthAndMetricsAreAtTheRootBesidesTheBasePath(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{BasePath: "/base/"})
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		for _, base := range []string{"", "/base"} {
			if a := e.do("GET", base+path, ""); a.status != 200 {
				t.Errorf("GET %s: %d %s", base+path, a.status, a.body)
			}
		}
	}
	for _, path := range []string{"/v1/flows", "/basev1/flows", "/base2/v1/flows"} {
		isProblem(t, e.do("GET", path, ""), 404)
	}
}

func TestRoutes_UnmatchedRequestsAreNamedInMetrics(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	e := start(t, hub.Config{}, httpapi.Config{Page: page})
	for _, request := range []string{"PATCH /v1/flows/F/events", "GET /assets/x.js", "POST /assets/x.js", "GET /v1/nothing"} {
		method, path, _ := strings.Cut(request, " ")
		e.do(method, path, "")
	}
	metrics := e.do("GET", "/metrics", "").body
	for _, want := range []string{`{route="events",method="other",code="405"} 1`, `{route="page",method="GET",code="404"} 1`, `{route="page",method="POST",code="405"} 1`, `{route="none",method="GET",code="404"} 1`} {
		if !strings.Contains(metrics, "openova_flow_http_requests_total"+want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
}
