package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

var secureHeaders = map[string]string{
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
}

func hasSecureHeaders(t *testing.T, what string, h http.Header) {
	t.Helper()
	for name, want := range secureHeaders {
		if got := h.Values(name); len(got) != 1 || got[0] != want && !(name == "Referrer-Policy" && strings.Contains(what, "sign-in")) {
			t.Errorf("%s: %s is %q, want %s", what, name, got, want)
		}
	}
	policy := strings.Join(h.Values("Content-Security-Policy"), ",")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors '") || strings.Contains(policy, "unsafe") {
		t.Errorf("%s: Content-Security-Policy is %q", what, policy)
	}
	if got := h.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("%s: without TLS Strict-Transport-Security is %s", what, got)
	}
}

// headers returns the status and the headers of an answer, whose body may be endless.
func (e *env) headers(method, path string, header ...string) (int, http.Header) {
	e.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, e.url+path, strings.NewReader("x"))
	if err != nil {
		e.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req) // follows no redirect
	if err != nil {
		e.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header
}

func TestSecurityHeaders_OnEveryAnswer(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<!doctype html>") })
	onBothWriters(t, func(t *testing.T, mode string) {
		e := guard(t, hub.Config{}, httpapi.Config{StreamMode: mode, Page: page, BasePath: "/base/"}, "").filledUnder("/base")
		statuses := map[int]bool{}
		for _, tt := range []struct{ method, path string }{
			{"GET", "/base/"}, {"GET", "/base/assets/x.js"}, {"GET", "/base"}, {"GET", "/elsewhere"}, {"GET", "/base/v1/nothing"}, {"GET", "/healthz"}, {"GET", "/base/readyz"},
			{"GET", "/metrics"}, {"GET", "/base/v1/me"}, {"GET", "/base/v1/flows"}, {"GET", "/base/v1/stream"}, {"GET", "/base/v1/flows/F/stream"}, {"HEAD", "/base/v1/flows/F/stream"},
			{"GET", "/base/v1/flows/F/snapshot"}, {"GET", "/base/v1/flows/F/events"}, {"GET", "/base/v1/flows/F/rollouts"}, {"GET", "/base/v1/flows/F/revisions"}, {"POST", "/base/v1/flows/F/events"},
			{"PATCH", "/base/v1/flows/F/events"}, {"OPTIONS", "/base/v1/flows/F/events"}, {"DELETE", "/base/v1/flows/G"}, {"DELETE", "/base/v1/flows/F/regions/x"},
			{"GET", "/base/sign-in"}, {"POST", "/base/sign-in"}, {"POST", "/base/sign-out"}, {"GET", "/base/v1/flows/a%20b/snapshot"},
		} {
			for _, caller := range [][]string{nil, reader.bearer(), writer.bearer(), admin.bearer(), {"Accept", "text/html"}} {
				status, h := e.headers(tt.method, tt.path, caller...)
				statuses[status] = true
				if h.Get("Content-Type") == "text/event-stream" {
					if got := len(h) - 1; mode == httpapi.StreamPortable && got > 8 { // without Date, which net/http does not keep
						t.Errorf("%s %s: %d headers, which take twice the memory of 8: %v", tt.method, tt.path, got, h)
					}
					h.Set("Cross-Origin-Opener-Policy", "same-origin") // streams lack it, as it only matters for documents
				}
				hasSecureHeaders(t, fmt.Sprintf("%s %s: %d", tt.method, tt.path, status), h)
			}
		}
		for _, want := range []int{200, 204, 303, 308, 400, 401, 403, 404, 405, 415} {
			if !statuses[want] {
				t.Errorf("none of the answers has status %d", want)
			}
		}
	})
}

// filledUnder adds flow F to a server under a prefix, and returns g.
func (g *guarded) filledUnder(prefix string) *guarded {
	g.env.t.Helper()
	if a := g.as(admin, "POST", prefix+"/v1/flows/F/events", upsertOf("F", "r1/a", "r1")); a.status != 200 {
		g.env.t.Fatalf("%d %s", a.status, a.body)
	}
	return g
}

func TestSecurityHeaders_StrictTransportSecurityOverTLS(t *testing.T) {
	api := httpapi.New(hub.New(hub.Config{}), httpapi.Config{})
	srv := httptest.NewTLSServer(api)
	defer srv.Close()
	for _, path := range []string{"/healthz", "/nothing", "/v1/flows"} {
		resp, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Strict-Transport-Security"); got != "max-age=31536000" {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestCORS_OnlyListedOriginsReadAnswers(t *testing.T) {
	const listed = "https://console.example.com"
	ask := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,last-event-id,flow-emitter"}
	onBothWriters(t, func(t *testing.T, mode string) {
		e := guard(t, hub.Config{}, httpapi.Config{StreamMode: mode, Origins: []string{listed}}, "").filled()
		for _, path := range []string{"/v1/flows", streamF, "/v1/stream", "/v1/flows/F/events", "/v1/flows/none/snapshot"} {
			for _, origin := range []string{listed, "https://console.example.com.evil.example", "http://console.example.com", "https://console.example.com:8443", "null"} {
				what := origin + " of " + path
				want := ""
				if origin == listed {
					want = listed
				}
				_, h := e.headers("GET", path, append(reader.bearer(), "Origin", origin)...)
				if got := h.Get("Access-Control-Allow-Origin"); got != want {
					t.Errorf("%s: allowed is %q", what, got)
				}
				if exposed := h.Get("Access-Control-Expose-Headers"); (want != "") != strings.Contains(exposed, "Flow-Incarnation") {
					t.Errorf("%s: exposed is %q", what, exposed)
				}
				if !strings.Contains(strings.Join(h.Values("Vary"), ","), "Origin") {
					t.Errorf("%s: Vary is %v, want Origin", what, h.Values("Vary"))
				}
				if h.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s: cookies are allowed", what)
				}
				status, h := e.headers("OPTIONS", path, append(ask, "Origin", origin)...)
				if (status == 204) != (want != "") || h.Get("Access-Control-Allow-Origin") != want {
					t.Errorf("preflight of %s: %d %v", what, status, h)
				}
				if want != "" && (!strings.Contains(h.Get("Access-Control-Allow-Methods"), "GET") || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Last-Event-ID") ||
					!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization")) {
					t.Errorf("preflight of %s: %v", what, h)
				}
			}
		}
		if _, h := e.headers("GET", "/v1/flows", append(reader.bearer(), "Origin", listed, "Origin", "https://evil.example")...); h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("with two origins: allowed is %q", h.Get("Access-Control-Allow-Origin"))
		}
		if status, _ := e.headers("OPTIONS", "/v1/flows", "Origin", listed); status != 405 {
			t.Errorf("OPTIONS that is no preflight request: %d", status)
		}
		// The page may read errors too, as they say what to change.
		if status, h := e.headers("GET", "/v1/flows", "Origin", listed); status != 401 || h.Get("Access-Control-Allow-Origin") != listed {
			t.Errorf("%d %v", status, h)
		}
	})
	e := start(t, hub.Config{}, httpapi.Config{})
	if status, h := e.headers("OPTIONS", "/v1/flows", append(ask, "Origin", listed)...); status != 405 || h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("with none listed: %d %v", status, h)
	}
}

// TestLoopback_OnlyThisMachineIsAnswered makes the requests of a page whose name was rebound to this machine, and of other pages.
func TestLoopback_OnlyThisMachineIsAnswered(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode, Loopback: true, Origins: []string{"http://localhost:5173"}})
		addr := strings.TrimPrefix(e.url, "http://")
		for _, tt := range []struct {
			host, origin string
			want         int
		}{
			{addr, "", 200},
			{"localhost:1", "", 200},
			{"[::1]:8080", "", 200},
			{addr, "http://" + addr, 200},
			{addr, "http://localhost:5173", 200},
			{"rebound.example:8080", "", 403},
			{"rebound.example", "http://rebound.example", 403},
			{"192.0.2.1", "", 403},
			{addr, "https://evil.example", 403},
			{addr, "null", 403},
			{addr, "http://localhost:3000", 403},
		} {
			for _, path := range []string{"/v1/flows", streamF, "/v1/stream", "/healthz", "/v1/me", "/nothing"} {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				origin := ""
				if tt.origin != "" {
					origin = "Origin: " + tt.origin + "\r\n"
				}
				fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, tt.host, origin)
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				want := tt.want
				if want == 200 && path == "/nothing" {
					want = 404
				}
				if resp.StatusCode != want {
					body, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
					t.Errorf("%s with Host %s, Origin %s: %d, want %d: %s", path, tt.host, tt.origin, resp.StatusCode, want, body)
				}
				conn.Close()
			}
		}
		conn := e.dial()
		fmt.Fprint(conn, "OPTIONS /v1/flows HTTP/1.1\r\nHost: rebound.example\r\nOrigin: http://localhost:5173\r\nAccess-Control-Request-Method: POST\r\n\r\n")
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("a preflight request by another name: %+v, %v", resp, err)
		}
		for _, site := range []string{"cross-site", "same-site"} {
			for path, want := range map[string]int{"/v1/flows": 403, streamF: 403, "/v1/stream": 403, "/v1/flows/F/snapshot": 403, "/": 403} {
				if status, _ := e.headers("GET", path, "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty"); status != want {
					t.Errorf("%s by a page that is %s: %d", path, site, status)
				}
			}
			if status, _ := e.headers("GET", "/", "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"); status != 200 {
				t.Errorf("a link from a page that is %s: %d", site, status)
			}
		}
		if a := e.do("POST", "/v1/flows/F/events", upsert(node("a", "x")), "Content-Type", asJSON, "Sec-Fetch-Site", "cross-site"); a.status != 403 {
			t.Errorf("a form elsewhere writes: %d", a.status)
		}
	})
}
