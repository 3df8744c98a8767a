package web

import (
	"strings"
	"testing"
)

// FuzzIfNoneMatch checks that each value and each element of it counts by itself, and that only the tag and * match.
func FuzzIfNoneMatch(f *testing.F) {
	tag, etag := "17-abc-0", `"17-abc-0"`
	f.Add(`W/"17-abc-0", "x"`, `*`)
	f.Add(`"17-abc-0-gzip"`, ``)
	f.Fuzz(func(t *testing.T, first, second string) {
		if got, want := Matches([]string{first, second}, tag), Matches([]string{first}, tag) || Matches([]string{second}, tag); got != want {
			t.Fatalf("%q and %q: %v", first, second, got)
		}
		if !Matches([]string{first, etag}, tag) || !Matches([]string{first + "," + etag}, tag) {
			t.Fatalf("%q hides the tag", first)
		}
		if Matches([]string{first}, tag) && !strings.Contains(first, "*") && !strings.Contains(first, "17-abc-0") {
			t.Fatalf("%q matches", first)
		}
	})
}

// FuzzAcceptEncoding: gzip is accepted only if the header has gzip or *, and never with the weight 0.
func FuzzAcceptEncoding(f *testing.F) {
	f.Add("gzip;q=0, *")
	f.Add("br, X-GZIP ; q=0.5")
	f.Fuzz(func(t *testing.T, value string) {
		accepted := AcceptsGzip([]string{value})
		if accepted && !strings.Contains(strings.ToLower(value), "gzip") && !strings.Contains(value, "*") {
			t.Fatalf("%q accepts gzip", value)
		}
		if AcceptsGzip([]string{"gzip;q=0", value}) || AcceptsGzip([]string{"gzip; q=0.000", value}) || !AcceptsGzip([]string{"gzip", value}) {
			t.Fatalf("%q changes the weight of gzip before it", value)
		}
		if first, _, _ := strings.Cut(value, ","); AcceptsGzip([]string{first + ",identity"}) != AcceptsGzip([]string{first}) {
			t.Fatalf("%q: another coding changes the result for gzip", value)
		}
	})
}
