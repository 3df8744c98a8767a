package httpapi

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// FuzzFlowEmitter: a parsed stamp does not change when it is written and parsed again.
func FuzzFlowEmitter(f *testing.F) {
	f.Add("fsn1;epoch=3;n=7")
	f.Add(" a b ; epoch=-1 ;n=+5")
	f.Fuzz(func(t *testing.T, value string) {
		s, err := parseStamp(http.Header{headerEmitter: {value}})
		if err != nil {
			if s != (record.Stamp{}) {
				t.Fatal("parseStamp returned a stamp and an error")
			}
			return
		}
		if len(s.Name) < 1 || len(s.Name) > 128 || strings.Contains(s.Name, ";") {
			t.Fatalf("the name %q", s.Name)
		}
		again, err := parseStamp(http.Header{headerEmitter: {fmt.Sprintf("%s;epoch=%d;n=%d", s.Name, s.Epoch, s.N)}})
		if err != nil || again != s {
			t.Fatalf("%q is read as %+v and then as %+v, %v", value, s, again, err)
		}
	})
}

// FuzzLastEventID: the header wins, an empty value is absent, and a value that is not an int64 gives -1.
func FuzzLastEventID(f *testing.F) {
	f.Add("5", "7")
	f.Add("", "-1")
	f.Add("1e3", "")
	f.Fuzz(func(t *testing.T, header, query string) {
		r := &http.Request{Header: http.Header{"Last-Event-Id": {header}}, URL: &url.URL{RawQuery: url.Values{"lastEventId": {query}}.Encode()}}
		seq, resume := lastEventID(r, "")
		text := header
		if text == "" {
			text = query
		}
		want, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			want = -1
		}
		if text == "" {
			want = 0
		}
		if seq != want || resume != (text != "") {
			t.Fatalf("%q and %q are read as %d, %v", header, query, seq, resume)
		}
	})
}

// FuzzRequest sends any request to the whole surface: each gets an answer that is allowed, and none panics.
func FuzzRequest(f *testing.F) {
	for _, s := range [][4]string{
		{"GET", "/v1/flows/F/snapshot", `"x"`, ""},
		{"POST", "/v1/flows/F/events", "e;epoch=1;n=1", `{"type":"delete-nodes","ids":["a"]}`},
		{"PUT", "/v1/flows/F/regions/a%2Fb", "", `{"cluster":"c","ttlSeconds":30}`},
		{"DELETE", "/v1/flows/../regions/%ff", "", ""},
		{"POST", "/sign-in", "", "token=a&next=.%2F"},
		{"GET", "/v1/flows/F/events?after=-1&limit=9999999999999999999", "", ""},
		{"GET", "/v1/stream?flow=%00", "", ""},
		{"OPTIONS", "/v1/me", "", ""},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	h := hub.New(hub.Config{MaxFlows: 4, MaxNodes: 50, RingCapacity: 8})
	api := New(h, Config{Logger: slog.New(slog.DiscardHandler)})
	h.Close() // streams end at once
	f.Fuzz(func(t *testing.T, method, target, header, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") || strings.ContainsAny(method, " \t\r\n") || method == "" {
			return
		}
		r := httptest.NewRequest("GET", "/", strings.NewReader(body))
		r.Method, r.URL, r.RequestURI = method, u, target
		for _, name := range []string{headerEmitter, headerIfIncarnation, headerLease, "If-None-Match", "Accept-Encoding", "Last-Event-ID", "Authorization", "Cookie", "Origin", "Accept"} {
			if header != "" {
				r.Header.Set(name, header)
			}
		}
		for _, contentType := range []string{typeJSON, typeNDJSON, "application/x-www-form-urlencoded", header} {
			r.Header.Set("Content-Type", contentType)
			r.Body = io.NopCloser(strings.NewReader(body))
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			if w.Code >= 500 && w.Code != http.StatusServiceUnavailable || w.Code < 200 {
				t.Fatalf("%s %q is answered %d %s", method, target, w.Code, w.Body)
			}
			if w.Code >= 400 && w.Body.Len() > 0 && !strings.HasPrefix(w.Header().Get("Content-Type"), "application/problem+json") && u.Path != "/sign-in" {
				t.Fatalf("%s %q is refused as %s", method, target, w.Header().Get("Content-Type"))
			}
		}
	})
}
