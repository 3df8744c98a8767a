package webui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"mime"
	"path"
	"strings"
)

// asset is one file of the page, prepared for sending.
type asset struct {
	plain, gzip []byte // gzip is nil if it would not be smaller
	tag         string
	contentType string
	cache       string
}

func newAsset(name string, body []byte) asset {
	sum := sha256.Sum256(body)
	a := asset{plain: body, tag: hex.EncodeToString(sum[:12]), contentType: contentType(name), cache: cacheRevalidate}
	if strings.HasPrefix(name, "assets/") {
		a.cache = cacheForever
	}
	if packed := compress(body); len(packed) < len(body) {
		a.gzip = packed
	}
	return a
}

// contentTypes has the media types of the page's files, by extension. The tables of package mime differ between machines.
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
	_, _ = w.Write(body)                                  // writing to a buffer does not fail
	_ = w.Close()
	return b.Bytes()
}
