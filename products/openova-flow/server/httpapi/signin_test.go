package httpapi_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// browse starts a guarded server with a page. Its client follows no redirect.
func browse(t testing.TB, more string) *guarded {
	t.Helper()
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the page") })
	g := guard(t, hub.Config{}, httpapi.Config{Page: page}, more).filled()
	g.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return g
}

func (g *guarded) post(path string, form url.Values, header ...string) answer {
	g.env.t.Helper()
	return g.do("POST", path, form.Encode(), append(header, "Content-Type", "application/x-www-form-urlencoded")...)
}

// cookieOf checks the cookie that an answer sets, and returns the Cookie header that a browser sends then.
func cookieOf(t testing.TB, a answer) string {
	t.Helper()
	cookies := (&http.Response{Header: a.header}).Cookies()
	if len(cookies) != 1 {
		t.Fatalf("%d cookies: %v", len(cookies), a.header)
	}
	c := cookies[0]
	if c.Name != auth.CookieName || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie is %v", c)
	}
	return c.Name + "=" + c.Value
}

func TestSignIn_FromRedirectToSignOut(t *testing.T) {
	e := browse(t, "")
	redirect := e.do("GET", "/?flow=F&x=1", "", "Accept", "text/html,*/*", "Sec-Fetch-Site", "none")
	location := redirect.header.Get("Location")
	if redirect.status != 303 || location != "./sign-in?next="+url.QueryEscape("./?flow=F&x=1") {
		t.Fatalf("%d to %s", redirect.status, location)
	}
	form := e.do("GET", location[1:], "")
	if form.status != 200 || form.header.Get("Content-Type") != "text/html; charset=utf-8" || form.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", form.status, form.header)
	}
	next := regexp.MustCompile(`name="next" value="([^"]*)"`).FindStringSubmatch(form.body)
	if next == nil || html.UnescapeString(next[1]) != "./?flow=F&x=1" {
		t.Fatalf("next is %v", next)
	}
	wrong := e.post("/sign-in", url.Values{"token": {"wrong"}, "next": {"./?flow=F"}}, "Origin", e.url)
	if wrong.status != 401 || wrong.header.Get("Set-Cookie") != "" || !strings.Contains(wrong.body, `role="alert"`) || !strings.Contains(wrong.body, `value="./?flow=F"`) {
		t.Errorf("%d %v\n%s", wrong.status, wrong.header, wrong.body)
	}
	in := e.post("/sign-in", url.Values{"token": {" secret-only-f\n"}, "next": {html.UnescapeString(next[1])}}, "Origin", e.url, "Sec-Fetch-Site", "same-origin")
	if in.status != 303 || in.header.Get("Location") != "./?flow=F&x=1" {
		t.Fatalf("%d %v", in.status, in.header)
	}
	cookie := cookieOf(t, in)
	if a := e.do("GET", "/?flow=F", "", "Accept", "text/html", "Cookie", cookie); a.status != 200 || a.body != "the page" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := e.do("GET", "/sign-in?next=/x", "", "Cookie", cookie); a.status != 303 || a.header.Get("Location") != "/x" {
		t.Errorf("sign-in while signed in: %d %v", a.status, a.header)
	}
	if f := e.watch(streamF, "Cookie", cookie).next(); f.event != "heartbeat" {
		t.Errorf("the stream begins with %+v, want heartbeat", f)
	}
	out := e.post("/sign-out", nil, "Origin", e.url, "Cookie", cookie)
	if out.status != 303 || out.header.Get("Location") != "./sign-in" || !strings.Contains(out.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("%d %v", out.status, out.header)
	}
	if log := e.log.String(); !strings.Contains(log, `msg="signed in" by=only-f`) || strings.Contains(log, "secret") {
		t.Errorf("%s", log)
	}
}

func TestSignIn_RedirectsOnlyBrowsers(t *testing.T) {
	e := browse(t, "")
	const pages = "text/html,application/xhtml+xml"
	for _, tt := range []struct {
		name   string
		path   string
		header []string
		status int
	}{
		{"a browser", "/", []string{"Accept", pages}, 303},
		{"a browser whose cookie is revoked", "/", []string{"Accept", pages, "Cookie", auth.CookieName + "=gone"}, 303},
		{"a program", "/", []string{"Accept", asJSON}, 401},
		{"a program without Accept", "/", nil, 401},
		{"a script", "/v1/flows", []string{"Accept", "*/*"}, 401},
		{"a browser that looks at the API", "/v1/flows", []string{"Accept", pages}, 401},
		{"a file of the page, which needs no credential", "/assets/x.js", nil, 200},
	} {
		if a := e.do("GET", tt.path, "", tt.header...); a.status != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, a.status, tt.status)
		}
	}
	// After a link from another site the browser sends no SameSite=Strict cookie, so the answer makes it reload.
	a := e.do("GET", "/?flow=%22%3E%3Cb%3E", "", "Accept", pages, "Sec-Fetch-Site", "cross-site")
	if a.status != 200 || a.header.Get("Cache-Control") != "no-store" || !strings.Contains(a.body, `content="0; url=./?flow=%22%3E%3Cb%3E"`) {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
}

func TestSignIn_NextStaysOnThisServer(t *testing.T) {
	e := browse(t, "")
	for next, want := range map[string]string{
		"":                          "./",
		"/":                         "/",
		"/flows/?flow=a#b":          "/flows/?flow=a#b",
		"./?flow=a":                 "./?flow=a",
		"/.//evil.example":          "/.//evil.example", // a path of this server, for browsers
		"//evil.example":            "./",
		"https://evil.example":      "./",
		"https:evil.example":        "./",
		`/\evil.example`:            "./",
		`\\evil.example`:            "./",
		"/\t/evil.example":          "./",
		"/\r\nSet-Cookie: a=b":      "./",
		"javascript:alert(1)":       "./",
		"evil.example":              "./",
		"///evil.example":           "./",
		"data:text/html,x":          "./",
		"@evil.example":             "./",
		"http://" + e.url[7:] + "/": "./",
	} {
		a := e.post("/sign-in", url.Values{"token": {"secret-reader"}, "next": {next}}, "Origin", e.url)
		if got := a.header.Values("Location"); a.status != 303 || len(got) != 1 || got[0] != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
	if a := e.do("GET", "/sign-in?next="+url.QueryEscape(`"><script>alert(1)</script>`), ""); strings.Contains(a.body, "<script") {
		t.Errorf("%s", a.body)
	}
}

// TestSignIn_PolicyFitsThePage: the policy allows no script, and only the style in the page.
func TestSignIn_PolicyFitsThePage(t *testing.T) {
	a := browse(t, "").do("GET", "/sign-in", "")
	styles := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindAllStringSubmatch(a.body, -1)
	if len(styles) != 1 || strings.Contains(a.body, "<script") || strings.Contains(a.body, "style=") || regexp.MustCompile(`\son[a-z]+=`).MatchString(a.body) {
		t.Fatalf("the page breaks its own policy:\n%s", a.body)
	}
	sum := sha256.Sum256([]byte(styles[0][1]))
	policy := a.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none';", "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %s in %s", want, policy)
		}
	}
	if strings.Contains(policy, "script-src") || strings.Contains(a.body, "{{") {
		t.Errorf("%s\n%s", policy, a.body)
	}
}

func TestCookie_OtherOriginsCannotWrite(t *testing.T) {
	e := browse(t, `,"proxy":{"peers":["127.0.0.1"],"header":"X-User","scopes":["admin"],"flows":["*"]}`)
	message := upsertOf("F", "r1/csrf", "r1")
	for _, credential := range [][]string{{"Cookie", auth.CookieName + "=secret-admin"}, {"X-User", "ann"}} {
		for _, from := range [][]string{
			{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
			{"Sec-Fetch-Site", "same-site", "Origin", "https://sibling.example"},
			{"Origin", "https://evil.example"},
			{"Origin", "null"},
		} {
			header := append(append([]string{"Content-Type", asJSON}, credential...), from...)
			for _, r := range []struct{ method, path string }{{"POST", "/v1/flows/F/events"}, {"DELETE", "/v1/flows/F"}, {"DELETE", "/v1/flows/F/regions/r1"}, {"POST", "/sign-out"}} {
				if a := e.do(r.method, r.path, message, header...); a.status != 403 {
					t.Errorf("%s %s with %v: %d %s", r.method, r.path, header, a.status, a.body)
				}
			}
			a := e.post("/sign-in", url.Values{"token": {"secret-reader"}}, from...)
			if a.status != 403 || a.header.Get("Set-Cookie") != "" {
				t.Errorf("a page of another origin signed in: %d %v", a.status, a.header)
			}
		}
		for _, from := range [][]string{{"Sec-Fetch-Site", "same-origin", "Origin", e.url}, {"Origin", e.url}, nil} {
			if a := e.do("POST", "/v1/flows/F/events", message, append(append([]string{"Content-Type", asJSON}, credential...), from...)...); a.status != 200 {
				t.Errorf("its own page, %v: %d %s", from, a.status, a.body)
			}
		}
	}
	// With a bearer token the origin does not matter, since no browser adds one by itself.
	if a := e.do("POST", "/v1/flows/F/events", message, append(admin.bearer(), "Content-Type", asJSON, "Origin", "https://evil.example")...); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestProxy_UserIsTheCaller(t *testing.T) {
	e := browse(t, `,"proxy":{"peers":["127.0.0.1"],"header":"X-User","scopes":["read"],"flows":["F"]}`)
	if a := e.do("GET", "/v1/me", "", "X-User", "ann"); strings.TrimSpace(a.body) != `{"name":"user:ann","scopes":["read"],"signedIn":"proxy"}` {
		t.Errorf("%s", a.body)
	}
	for path, want := range map[string]int{"/": 200, "/v1/flows/F/snapshot": 200, "/v1/flows/other/snapshot": 403} {
		if a := e.do("GET", path, "", "X-User", "ann", "Accept", "text/html"); a.status != want {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	other := browse(t, `,"proxy":{"peers":["192.0.2.1"],"header":"X-User","scopes":["admin"],"flows":["*"]}`)
	if a := other.do("GET", "/v1/me", "", "X-User", "ann", "X-Forwarded-For", "192.0.2.1"); a.status != 401 {
		t.Errorf("the header from another address: %d %s", a.status, a.body)
	}
}

// TestSignIn_OverPlainHTTPIsAnError: over http from another machine a browser drops a Secure cookie, and would show the form again and again.
func TestSignIn_OverPlainHTTPIsAnError(t *testing.T) {
	e := browse(t, "")
	a := e.do("POST", "/sign-in", "token=secret-reader", "Content-Type", "application/x-www-form-urlencoded", "Origin", "http://flow.example", "Sec-Fetch-Site", "same-origin")
	if a.status != 400 || a.header.Get("Set-Cookie") != "" || !strings.Contains(a.body, `role="alert"`) {
		t.Errorf("%d %v\n%s", a.status, a.header, a.body)
	}
}

func TestSignIn_WithoutAccessControlRedirects(t *testing.T) {
	e := start(t, hub.Config{}, httpapi.Config{})
	e.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if a := e.do("GET", "/sign-in?next=/x", ""); a.status != 303 || a.header.Get("Location") != "/x" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a := e.do("POST", "/sign-in", "token=x&next=/x", "Content-Type", "application/x-www-form-urlencoded"); a.status != 303 || a.header.Get("Set-Cookie") != "" {
		t.Errorf("%d %v", a.status, a.header)
	}
}

func TestSignIn_BodyIsBounded(t *testing.T) {
	e := browse(t, "")
	for _, body := range []string{"token=" + strings.Repeat("x", 1<<20), "%zz"} {
		if a := e.do("POST", "/sign-in", body, "Content-Type", "application/x-www-form-urlencoded"); a.status != 400 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}
