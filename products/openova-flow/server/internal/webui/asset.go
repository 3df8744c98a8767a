package webui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"mime"
	"net/http"
	"path"
	"strings"
)

// asset is one file of the page, ready to be sent.
type asset struct {
	plain, gzip    []byte // gzip is nil when it would not be smaller
	etag, gzipETag string // strong, so each form has its own
	contentType    string
	cache          string
}

func newAsset(name string, body []byte) asset {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:12])
	a := asset{plain: body, etag: `"` + hash + `"`, gzipETag: `"` + hash + `-gz"`, contentType: contentType(name), cache: cacheNever}
	if strings.HasPrefix(name, "assets/") {
		a.cache = cacheForever
	}
	if packed := compress(body); len(packed) < len(body) {
		a.gzip = packed
	}
	return a
}

// contentTypes names what the page consists of. Types from the machine's own tables would differ from place to place.
var contentTypes = map[string]string{
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".css":   "text/css; charset=utf-8",
	".svg":   "image/svg+xml",
	".png":   "image/png",
	".woff2": "font/woff2",
	".json":  "application/json",
	".txt":   "text/plain; charset=utf-8",
}

func contentType(name string) string {
	ext := path.Ext(name)
	if t, ok := contentTypes[ext]; ok {
		return t
	}
	if t := mime.TypeByExtension(ext); t != "" {
		return t
	}
	return "application/octet-stream"
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	_, _ = w.Write(body)                                  // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// writeProblem answers with an error as RFC 9457 has it.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail})
}
