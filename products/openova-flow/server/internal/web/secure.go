package web

import "net/http"

// The lists are shared between answers and never changed.
var (
	nosniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
	apiPolicy  = []string{"default-src 'none'; frame-ancestors 'none'"} // an answer of the API is no document
	sameOrigin = []string{"same-origin"}
)

// Secure sets the headers that keep browsers from taking an answer for more than it is. A handler of pages replaces the policy.
func Secure(h http.Header) {
	h["X-Content-Type-Options"] = nosniff
	h["Referrer-Policy"] = noReferrer
	h["Content-Security-Policy"] = apiPolicy
	h["Cross-Origin-Opener-Policy"] = sameOrigin
	h["Cross-Origin-Resource-Policy"] = sameOrigin
}
