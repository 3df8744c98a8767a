// Package webui serves the built page.
//
// The page is embedded, so that the server needs no Node and no files beside it. Everything is read, hashed and compressed once,
// when the handler is made.
package webui

import (
	"embed"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// ContentSecurityPolicy allows the page its own origin and nothing else; no inline script or style.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; " +
	"worker-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

const (
	cacheForever = "public, max-age=31536000, immutable" // names of built assets hold their hash
	cacheNever   = "no-cache"                            // kept, but asked about every time
)

// Handler serves the page at / and its assets beside it. It answers GET and HEAD, compresses for whoever takes gzip, and answers
// 304 to an ETag that still holds. What is not there is a 404 as problem+json.
func Handler() http.Handler {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the folder is embedded
	}
	h, err := newHandler(files)
	if err != nil {
		panic(err) // reading embedded files does not fail
	}
	return h
}

type handler struct {
	assets map[string]asset // by path without a leading slash
}

func newHandler(files fs.FS) (*handler, error) {
	h := &handler{assets: map[string]asset{}}
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
	header.Set("Content-Security-Policy", ContentSecurityPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		writeProblem(w, http.StatusMethodNotAllowed, "allowed here: GET, HEAD")
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	a, ok := h.assets[name]
	if !ok {
		writeProblem(w, http.StatusNotFound, "there is nothing at this path; the page is at /")
		return
	}
	a.serve(w, r)
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", a.cache)
	body, etag := a.plain, a.etag
	if a.gzip != nil {
		header.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Values("Accept-Encoding")) {
			body, etag = a.gzip, a.gzipETag
			header.Set("Content-Encoding", "gzip")
		}
	}
	header.Set("ETag", etag)
	if matches(r.Header.Values("If-None-Match"), a) {
		header.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", a.contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // only a client that has gone makes this fail
}

// matches reports whether If-None-Match names either form of the asset (RFC 9110, section 13.1.2).
func matches(values []string, a asset) bool {
	for _, v := range values {
		for tag := range strings.SplitSeq(v, ",") {
			switch strings.TrimPrefix(strings.TrimSpace(tag), "W/") {
			case "*", a.etag:
				return true
			case a.gzipETag:
				return a.gzip != nil
			}
		}
	}
	return false
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3). A weight for gzip wins over one for everything else.
func acceptsGzip(values []string) bool {
	accepted := false
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			coding, params, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return !isZero(params)
			case "*":
				accepted = !isZero(params)
			}
		}
	}
	return accepted
}

func isZero(params string) bool {
	q, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(params), " ", ""), "q=")
	if !ok {
		return false
	}
	weight, err := strconv.ParseFloat(q, 64)
	return err == nil && weight == 0
}
