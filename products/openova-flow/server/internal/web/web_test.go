package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestAcceptsGzip(t *testing.T) {
	for value, want := range map[string]bool{
		"gzip, deflate, br":     true,
		"GZIP":                  true,
		"x-gzip":                true,
		"*":                     true,
		"br;q=1.0, gzip;q=0.5":  true,
		"gzip;q=0.001":          true,
		"br, *;q=0, gzip;q=0.1": true,
		"":                      false,
		"identity":              false,
		"gzip;q=0":              false,
		"gzip;Q=0":              false,
		"gzip\t;\tq=0":          false,
		"gzip; q=0.000, *":      false,
		"*;q=0":                 false,
	} {
		if got := AcceptsGzip([]string{value}); got != want {
			t.Errorf("%q: %t", value, got)
		}
	}
}

func TestFirstAccepted(t *testing.T) {
	for value, want := range map[string]string{
		"text/html,application/json":       "text/html",
		"image/png, application/json;q=.1": "application/json",
		"*/*":                              "",
		"":                                 "",
	} {
		if got := FirstAccepted([]string{value}, "application/json", "text/html"); got != want {
			t.Errorf("%q: %q", value, got)
		}
	}
	if got := FirstAccepted([]string{"image/png", "text/html"}, "text/html"); got != "text/html" {
		t.Errorf("in a second line: %q", got)
	}
}

func TestMatches(t *testing.T) {
	for value, want := range map[string]bool{
		`"a-1"`: true, `"a-1-gzip"`: true, `W/"a-1"`: true, `"b", W/"a-1-gzip"`: true, "*": true,
		`"a-2"`: false, `"*"`: false, "": false, `"a-1-br"`: false,
	} {
		if got := Matches([]string{value}, "a-1"); got != want {
			t.Errorf("%s: %t", value, got)
		}
	}
	if got := slices.Collect(Tags([]string{`"a-1", W/"b-gzip"`, `"c"`})); !slices.Equal(got, []string{"a-1", "b", "c"}) {
		t.Errorf("%q", got)
	}
}

func TestProblem_Write(t *testing.T) {
	long := strings.Repeat("é", 1000)
	w := httptest.NewRecorder()
	Problem{Status: 503, Detail: long, Field: long, Holder: long, Line: 3, RetryAfter: 7, Close: true, Challenge: "Bearer"}.Write(w)
	want := http.Header{"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "Retry-After": {"7"}, "Connection": {"close"}, "Www-Authenticate": {"Bearer"}}
	for name, values := range want {
		if !slices.Equal(w.Header()[name], values) {
			t.Errorf("%s is %q", name, w.Header()[name])
		}
	}
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 503 || p.Type != "about:blank" || p.Title != "Service Unavailable" || p.Status != 503 || p.Line != 3 {
		t.Fatalf("%d %+v %v", w.Code, p, err)
	}
	for _, text := range []string{p.Detail, p.Field, p.Holder} {
		if !strings.HasPrefix(text, "éé") || !strings.HasSuffix(text, "é…") || len(text) > maxDetail+3 {
			t.Errorf("%d bytes: %s", len(text), text)
		}
	}
	if len(p.Field) > MaxEcho+3 || len(p.Holder) > MaxEcho+3 {
		t.Errorf("%d bytes of the field, %d of the holder", len(p.Field), len(p.Holder))
	}
	w = httptest.NewRecorder()
	Problem{Status: 404, Detail: "x"}.Write(w)
	if text := strings.TrimSpace(w.Body.String()); text != `{"type":"about:blank","title":"Not Found","status":404,"detail":"x"}` || len(w.Header()) != 2 {
		t.Errorf("%s %v", text, w.Header())
	}
}
