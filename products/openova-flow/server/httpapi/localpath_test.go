package httpapi

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzLocalPath resolves the results of localPath as a browser does. Browsers know more ways than package url to name another server (WHATWG URL,
// section 4.4): they remove tabs and newlines, and take a backslash for a slash.
func FuzzLocalPath(f *testing.F) {
	for _, next := range []string{"/", "./?flow=a", "//evil.example", `/\evil.example`, "/\t/evil.example", "https:evil.example", ".//evil.example", "./..//evil.example", "/%09/evil.example", "\x00//evil.example", " //evil.example"} {
		f.Add(next)
	}
	base, _ := url.Parse("https://flow.example/base/sign-in")
	f.Fuzz(func(t *testing.T, next string) {
		location := localPath(next)
		if strings.ContainsAny(location, "\r\n") {
			t.Fatalf("%q results in the header %q", next, location)
		}
		seen := strings.Map(func(c rune) rune {
			switch c {
			case '\t', '\n', '\r':
				return -1
			case '\\':
				return '/'
			}
			return c
		}, strings.TrimFunc(location, func(c rune) bool { return c <= ' ' }))
		u, err := base.Parse(seen)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme || u.User != nil {
			t.Fatalf("%q leads to %q: %v, %v", next, location, u, err)
		}
	})
}
