// Package webui serves the built page.
//
// The page is embedded, so that the server needs neither Node nor other files. All files are hashed and compressed once, by Handler.
package webui

import (
	"embed"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/internal/web"
)

//go:embed all:dist
var dist embed.FS

// contentSecurityPolicy returns a policy that allows only the page's own origin, and images made by the page, but no inline script or style. frameAncestors
// are the sources that may show the page in a frame: none, self, or origins; empty means self.
func contentSecurityPolicy(frameAncestors []string) string {
	if len(frameAncestors) == 0 {
		frameAncestors = []string{"self"}
	}
	ancestors := ""
	for _, source := range frameAncestors {
		if source == "none" || source == "self" {
			source = "'" + source + "'"
		}
		ancestors += " " + source
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; " +
		"worker-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors" + ancestors
}

const (
	cacheForever    = "public, max-age=31536000, immutable" // names of built assets contain their hash
	cacheRevalidate = "no-cache"                            // cached, but revalidated for each use
)

// Handler serves the page at / and its assets next to it, compressed for clients that accept gzip, and with an ETag. For frameAncestors see
// contentSecurityPolicy. An unknown path is a 404 as problem+json.
func Handler(frameAncestors []string) http.Handler {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the folder is embedded
	}
	h, err := newHandler(files, contentSecurityPolicy(frameAncestors))
	if err != nil {
		panic(err) // reading embedded files does not fail
	}
	return h
}

type handler struct {
	assets map[string]asset // by path without a leading slash
	policy string
}

func newHandler(files fs.FS, policy string) (*handler, error) {
	h := &handler{assets: map[string]asset{}, policy: policy}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		h.assets[name] = newAsset(name, body)
		return nil
	})
	return h, err
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	web.Secure(header)
	header.Set("Content-Security-Policy", h.policy)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		web.Problem{Status: http.StatusMethodNotAllowed, Detail: "allowed methods: GET, HEAD"}.Write(w)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	a, ok := h.assets[name]
	if !ok {
		web.Problem{Status: http.StatusNotFound, Detail: "unknown path; the page is at /"}.Write(w)
		return
	}
	a.serve(w, r)
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", a.cache)
	body, gzipped := a.plain, false
	if a.gzip != nil {
		header.Add("Vary", "Accept-Encoding")
		if gzipped = web.AcceptsGzip(r.Header.Values("Accept-Encoding")); gzipped {
			body = a.gzip
		}
	}
	header.Set("ETag", web.EntityTag(a.tag, gzipped))
	if web.Matches(r.Header.Values("If-None-Match"), a.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if gzipped {
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("Content-Type", a.contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // fails only if the client has disconnected
}
