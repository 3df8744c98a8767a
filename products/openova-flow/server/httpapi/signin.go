package httpapi

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

//go:embed signin.html
var signInHTML string

// signInPolicy allows the page its style, its icon and its form, and no script.
var signInPolicy = func() string {
	_, style, _ := strings.Cut(signInHTML, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}()

const maxForm = 64 << 10 // bytes of the form

// pagePath is the path of the page relative to /sign-in. Links between pages are relative, as a proxy may add a prefix that the server does not know.
const pagePath = "./"

// signInPage shows the form, or redirects a caller that is signed in already.
func (s *Server) signInPage(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	if _, err := s.cfg.Auth.Authenticate(r); err == nil {
		seeOther(w, next)
		return
	}
	writeSignIn(w, http.StatusOK, next, "")
}

// signIn sets a cookie with the token of the form.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		writeProblem(w, problem{Status: http.StatusBadRequest, Detail: "send the form of GET /sign-in as application/x-www-form-urlencoded, with token and next"})
		return
	}
	next := localPath(r.PostForm.Get("next"))
	if !s.cfg.Auth.Guarded() {
		seeOther(w, next)
		return
	}
	g, err := s.cfg.Auth.SignIn(w, r, r.PostForm.Get("token"))
	if err != nil {
		s.noteDenial(w, r, err)
		p := problemOf(err)
		if p.Challenge != "" {
			w.Header().Set("WWW-Authenticate", p.Challenge)
		}
		writeSignIn(w, p.Status, next, p.Detail)
		return
	}
	if droppedByBrowser(r) {
		w.Header().Del("Set-Cookie")
		writeSignIn(w, http.StatusBadRequest, next, "the browser keeps a sign-in only over https: open this page at an https address")
		return
	}
	s.audit("signed in", g)
	seeOther(w, next)
}

// droppedByBrowser reports whether the browser will drop a Secure cookie, because it loaded the page over plain http from another machine.
func droppedByBrowser(r *http.Request) bool {
	u, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && u.Scheme == "http" && !auth.IsLoopback(u.Hostname())
}

// signOut deletes the cookie.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	if err := s.cfg.Auth.SignOut(w, r); err != nil {
		s.deny(w, r, err)
		return
	}
	seeOther(w, "./sign-in")
}

// toSignIn redirects a browser to the form, which leads back to the page. It counts and logs err, unless the browser sent no credential.
func (s *Server) toSignIn(w http.ResponseWriter, r *http.Request, err error) {
	var denial *auth.Denial
	if errors.As(err, &denial) && denial.Reason != auth.NoCredential {
		s.noteDenial(w, r, err)
	}
	next := pagePath
	if r.URL.RawQuery != "" {
		next += "?" + r.URL.RawQuery
	}
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" { // a link on another site: the browser does not send the cookie, so reload from here
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, `<!doctype html><meta http-equiv="refresh" content="0; url=`+html.EscapeString(next)+`"><title>OpenovaFlow</title>`)
		return
	}
	seeOther(w, "./sign-in?next="+url.QueryEscape(next))
}

// localPath returns next when it leads to this server, else the page.
func localPath(next string) string {
	u, err := url.Parse(next)
	switch {
	case err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.ContainsFunc(next, func(c rune) bool { return c < ' ' || c == '\\' }):
	case strings.HasPrefix(next, "./"), strings.HasPrefix(next, "/") && !strings.HasPrefix(next, "//"):
		return next
	}
	return pagePath
}

func seeOther(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

func writeSignIn(w http.ResponseWriter, status int, next, wrong string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", signInPolicy)
	h.Set("Referrer-Policy", "same-origin") // with no-referrer the browser would post the form with Origin: null
	if wrong != "" {
		wrong = `<p role="alert">` + html.EscapeString(strings.ToUpper(wrong[:1])+wrong[1:]) + `.</p>`
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.NewReplacer("{{next}}", html.EscapeString(next), "{{wrong}}", wrong).Replace(signInHTML))
}
