package web

import "net/http"

// These header values are shared by all answers and never changed.
var (
	nosniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
	apiPolicy  = []string{"default-src 'none'; frame-ancestors 'none'"} // an API answer is not a page: it loads nothing and is shown in no frame
	sameOrigin = []string{"same-origin"}
)

// Secure sets the headers that restrict what browsers do with an answer: they do not guess its type, send no Referer, and allow no use by other origins. A
// handler of pages replaces Content-Security-Policy, which forbids an answer to load anything.
func Secure(h http.Header) {
	h["X-Content-Type-Options"] = nosniff
	h["Referrer-Policy"] = noReferrer
	h["Content-Security-Policy"] = apiPolicy
	h["Cross-Origin-Opener-Policy"] = sameOrigin
	h["Cross-Origin-Resource-Policy"] = sameOrigin
}
