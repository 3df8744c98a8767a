package webui

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

var script = []byte(strings.Repeat("export const answer = 42;\n", 50))

func fixture(t *testing.T) http.Handler {
	t.Helper()
	h, err := newHandler(fstest.MapFS{
		"index.html":           {Data: []byte("<!doctype html><title>flow</title>" + strings.Repeat("<p>text</p>", 50))},
		"favicon.svg":          {Data: []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`)},
		"assets/main-abc12.js": {Data: script},
	}, contentSecurityPolicy(nil))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	return do(h, http.MethodGet, path, header...)
}

func do(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler_CacheControl(t *testing.T) {
	h := fixture(t)
	for path, want := range map[string]string{
		"/":                     "no-cache",
		"/index.html":           "no-cache",
		"/favicon.svg":          "no-cache",
		"/assets/main-abc12.js": "public, max-age=31536000, immutable",
	} {
		if got := get(h, path).Header().Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control is %q, want %q", path, got, want)
		}
	}
}

func TestHandler_ContentTypes(t *testing.T) {
	h := fixture(t)
	for path, want := range map[string]string{
		"/":                     "text/html; charset=utf-8",
		"/favicon.svg":          "image/svg+xml",
		"/assets/main-abc12.js": "text/javascript; charset=utf-8",
	} {
		if got := get(h, path).Header().Get("Content-Type"); got != want {
			t.Errorf("%s: Content-Type is %q, want %q", path, got, want)
		}
	}
}

func TestHandler_SecurityHeaders(t *testing.T) {
	h := fixture(t)
	for _, w := range []*httptest.ResponseRecorder{get(h, "/"), get(h, "/assets/main-abc12.js"), get(h, "/nothing"), do(h, http.MethodPost, "/")} {
		for name, want := range map[string]string{
			"Content-Security-Policy": contentSecurityPolicy(nil),
			"X-Frame-Options":         "", // browsers prefer frame-ancestors, which allows more
			"Referrer-Policy":         "no-referrer",
			"X-Content-Type-Options":  "nosniff",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("status %d: %s is %q, want %q", w.Code, name, got, want)
			}
		}
	}
	if strings.Contains(contentSecurityPolicy(nil), "unsafe") {
		t.Error("the policy allows something unsafe")
	}
}

func TestHandler_FrameAncestors(t *testing.T) {
	for want, sources := range map[string][]string{
		"'self'": nil,
		"'none'": {"none"},
		"'self' https://*.example.com http://grafana:3000": {"self", "https://*.example.com", "http://grafana:3000"},
	} {
		policy := get(Handler(sources), "/").Header().Get("Content-Security-Policy")
		if _, got, _ := strings.Cut(policy, "frame-ancestors "); got != want {
			t.Errorf("%v: frame-ancestors %s, want %s", sources, got, want)
		}
	}
}

func TestHandler_Gzip(t *testing.T) {
	h := fixture(t)
	for accept, want := range map[string]bool{
		"gzip, deflate, br":     true,
		"GZIP":                  true,
		"*":                     true,
		"br;q=1.0, gzip;q=0.5":  true,
		"":                      false,
		"identity":              false,
		"gzip;q=0":              false,
		"gzip; q=0.000, *":      false,
		"*;q=0":                 false,
		"br, *;q=0, gzip;q=0.1": true,
	} {
		w := get(h, "/assets/main-abc12.js", "Accept-Encoding", accept)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("%q: gzip is %t, want %t", accept, got, want)
		}
		if w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: Vary lacks Accept-Encoding", accept)
		}
		body := w.Body.Bytes()
		if want {
			r, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(body, script) {
			t.Errorf("%q: the body is not the file's content", accept)
		}
	}
}

func TestHandler_SendsNoGzipThatIsNotSmaller(t *testing.T) {
	h, err := newHandler(fstest.MapFS{"assets/x.png": {Data: []byte{1, 2, 3}}}, "")
	if err != nil {
		t.Fatal(err)
	}
	w := get(h, "/assets/x.png", "Accept-Encoding", "gzip")
	if w.Header().Get("Content-Encoding") != "" || w.Header().Get("Vary") != "" || w.Body.Len() != 3 {
		t.Errorf("headers are %v", w.Header())
	}
}

func TestHandler_ETag(t *testing.T) {
	h := fixture(t)
	plain, packed := get(h, "/"), get(h, "/", "Accept-Encoding", "gzip")
	a, b := plain.Header().Get("ETag"), packed.Header().Get("ETag")
	if a == "" || b == "" || a == b {
		t.Fatalf("ETags are %s and %s; want different ones for plain and gzip", a, b)
	}
	for tag, want := range map[string]int{
		a: 304, b: 304, "W/" + a: 304, "*": 304, `"other", ` + b: 304, `"other"`: 200, "": 200,
	} {
		w := get(h, "/", "If-None-Match", tag)
		if w.Code != want {
			t.Errorf("If-None-Match %s: status %d, want %d", tag, w.Code, want)
		}
		if want == 304 && w.Body.Len() > 0 {
			t.Errorf("If-None-Match %s: a 304 has a body", tag)
		}
	}
}

func TestHandler_Head(t *testing.T) {
	w := do(fixture(t), http.MethodHead, "/assets/main-abc12.js")
	if w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "1300" {
		t.Errorf("status %d, %d bytes, Content-Length %s", w.Code, w.Body.Len(), w.Header().Get("Content-Length"))
	}
}

func TestHandler_NotFoundIsAProblem(t *testing.T) {
	h := fixture(t)
	for _, path := range []string{"/nothing", "/assets/", "/assets", "/assets/main-old.js", "/../webui.go", "/index.html/"} {
		wantProblem(t, get(h, path), path, 404)
	}
	w := do(h, http.MethodPost, "/")
	wantProblem(t, w, "POST /", 405)
	if w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow is %q", w.Header().Get("Allow"))
	}
}

func wantProblem(t *testing.T, w *httptest.ResponseRecorder, what string, status int) {
	t.Helper()
	var p struct {
		Title, Detail string
		Status        int
	}
	if w.Code != status || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s: status %d, headers %v", what, w.Code, w.Header())
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != status || p.Title == "" || p.Detail == "" {
		t.Errorf("%s: body %s", what, w.Body)
	}
}

// TestPage_KeepsToItsPolicy checks that the built page has no inline code and no other origins, which the policy forbids, and no absolute paths.
func TestPage_KeepsToItsPolicy(t *testing.T) {
	page := get(Handler(nil), "/").Body.String()
	for what, pattern := range map[string]string{
		"an inline script":   `<script(?:\s[^>]*)?>[^<]`,
		"an inline style":    `<style|\sstyle\s*=`,
		"an event handler":   `\son[a-z]+\s*=`,
		"another origin":     `(?:src|href)\s*=\s*"?(?:https?:)?//`,
		"an absolute path":   `(?:src|href)\s*=\s*"?/`,
		"a base for its URL": `<base`,
	} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("index.html has %s: %s", what, found)
		}
	}
}

func TestPage_NamesOnlyExistingFiles(t *testing.T) {
	h := Handler(nil)
	refs := regexp.MustCompile(`(?:src|href)="\./([^"]+)"`).FindAllStringSubmatch(get(h, "/").Body.String(), -1)
	if len(refs) < 2 {
		t.Fatalf("index.html names %d files; is the page built?", len(refs))
	}
	for _, ref := range refs {
		if w := get(h, "/"+ref[1]); w.Code != 200 {
			t.Errorf("%s: status %d", ref[1], w.Code)
		}
	}
	files, _ := fs.Sub(dist, "dist")
	scripts, _ := fs.Glob(files, "assets/*.js")
	if len(scripts) == 0 {
		t.Error("no script is embedded")
	}
}
