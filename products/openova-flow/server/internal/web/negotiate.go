package web

import (
	"iter"
	"slices"
	"strings"
)

// AcceptsGzip reports whether Accept-Encoding (RFC 9110, section 12.5.3) has gzip or * with a weight above 0. A weight for gzip overrides one for *.
func AcceptsGzip(values []string) bool {
	others := false
	for part := range elements(values) {
		coding, weight, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return !isZero(weight)
		case "*":
			others = !isZero(weight)
		}
	}
	return others
}

func isZero(weight string) bool {
	q, ok := strings.CutPrefix(strings.ToLower(strings.Join(strings.Fields(weight), "")), "q=")
	return ok && strings.Trim(q, "0.") == ""
}

// FirstAccepted returns the first media type in Accept that is one of kinds, or "". It ignores weights.
func FirstAccepted(values []string, kinds ...string) string {
	for part := range elements(values) {
		kind, _, _ := strings.Cut(part, ";")
		if kind = strings.TrimSpace(kind); slices.Contains(kinds, kind) {
			return kind
		}
	}
	return ""
}

// gzipSuffix ends the tag of a compressed entity, which differs from the plain one (RFC 9110, section 8.8.3.3).
const gzipSuffix = "-gzip"

// EntityTag returns the ETag for a tag, in the compressed or the plain form.
func EntityTag(tag string, gzipped bool) string {
	if gzipped {
		tag += gzipSuffix
	}
	return `"` + tag + `"`
}

// Matches reports whether If-None-Match has the tag, in either form of EntityTag, or * (RFC 9110, section 13.1.2; the comparison is weak).
func Matches(values []string, tag string) bool {
	for part := range elements(values) {
		if strings.TrimSpace(part) == "*" || tagIn(part) == tag {
			return true
		}
	}
	return false
}

// Tags yields the tags in If-None-Match, without the quotes and suffixes of EntityTag.
func Tags(values []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for part := range elements(values) {
			if !yield(tagIn(part)) {
				return
			}
		}
	}
}

func tagIn(part string) string {
	part = strings.Trim(strings.TrimPrefix(strings.TrimSpace(part), "W/"), `"`)
	return strings.TrimSuffix(part, gzipSuffix)
}

// elements yields the parts of a list header between commas, also inside of quotes: no value that the server looks for has a comma.
func elements(values []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, value := range values {
			for part := range strings.SplitSeq(value, ",") {
				if !yield(part) {
					return
				}
			}
		}
	}
}
