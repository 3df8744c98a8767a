package auth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	readerToken = "ofl_reader"
	otherToken  = "ofl_other"
)

// withProxy returns an Authority with two tokens and a proxy at 10.0.0.0/8, fd00::/8 and 172.16.0.9.
func withProxy(t testing.TB) *Authority {
	t.Helper()
	p := newTokensDir(t)
	p.file(object{"tokens": []object{tokenOf("reader", readerToken), tokenOf("other", otherToken)}, "proxy": proxyOf("10.0.0.0/8", "fd00::/8", "::ffff:172.16.0.9")})
	return p.load()
}

func TestAuthenticate_Caller(t *testing.T) {
	a := withProxy(t)
	cookie := CookieName + "=" + readerToken
	long := strings.Repeat("x", maxUser+1)
	tests := []struct {
		name   string
		peer   string
		header http.Header
		want   string // the caller's name, or the reason of the denial
	}{
		{"nobody", "192.0.2.1:1", nil, "no_credential"},
		{"a bearer token", "192.0.2.1:1", http.Header{"Authorization": {"Bearer " + readerToken}}, "reader"},
		{"a scheme in another case and more spaces", "192.0.2.1:1", http.Header{"Authorization": {"bearer   " + readerToken}}, "reader"},
		{"an unknown token", "192.0.2.1:1", http.Header{"Authorization": {"Bearer x"}}, "unknown"},
		{"a hash in place of its token", "192.0.2.1:1", http.Header{"Authorization": {"Bearer " + Hash(readerToken)}}, "unknown"},
		{"a prefix of a token", "192.0.2.1:1", http.Header{"Authorization": {"Bearer " + readerToken[:9]}}, "unknown"},
		{"Basic", "192.0.2.1:1", http.Header{"Authorization": {"Basic b2Zs"}}, "malformed"},
		{"no scheme", "192.0.2.1:1", http.Header{"Authorization": {readerToken}}, "malformed"},
		{"an empty header", "192.0.2.1:1", http.Header{"Authorization": {""}}, "malformed"},
		{"an empty token", "192.0.2.1:1", http.Header{"Authorization": {"Bearer "}}, "malformed"},
		{"two words", "192.0.2.1:1", http.Header{"Authorization": {"Bearer a b"}}, "malformed"},
		{"two tokens with a comma", "192.0.2.1:1", http.Header{"Authorization": {"Bearer a,Bearer b"}}, "malformed"},
		{"two headers", "192.0.2.1:1", http.Header{"Authorization": {"Bearer " + readerToken, "Bearer " + readerToken}}, "malformed"},
		{"too long a token", "192.0.2.1:1", http.Header{"Authorization": {"Bearer " + strings.Repeat("x", maxToken+1)}}, "malformed"},
		{"a malformed header beside a cookie", "192.0.2.1:1", http.Header{"Authorization": {"x"}, "Cookie": {cookie}}, "malformed"},
		{"a cookie", "192.0.2.1:1", http.Header{"Cookie": {"a=b; " + cookie}}, "reader"},
		{"a cookie of another name", "192.0.2.1:1", http.Header{"Cookie": {"openova-flow=" + readerToken}}, "no_credential"},
		{"an empty cookie", "192.0.2.1:1", http.Header{"Cookie": {CookieName + "="}}, "no_credential"},
		{"two cookies", "192.0.2.1:1", http.Header{"Cookie": {cookie + "; " + CookieName + "=x"}}, "malformed"},
		{"a header beside a cookie", "192.0.2.1:1", http.Header{"Authorization": {"Bearer " + otherToken}, "Cookie": {cookie}}, "other"},
		{"a user from the proxy", "10.1.2.3:1", http.Header{"X-Forwarded-User": {"ann"}}, "user:ann"},
		{"a user from the proxy over IPv6", "[fd00::7]:1", http.Header{"X-Forwarded-User": {"ann"}}, "user:ann"},
		{"a user from the proxy as a mapped address", "[::ffff:10.1.2.3]:1", http.Header{"X-Forwarded-User": {"ann"}}, "user:ann"},
		{"a user from the proxy whose address is listed as a mapped one", "172.16.0.9:1", http.Header{"X-Forwarded-User": {"ann"}}, "user:ann"},
		{"a user from an address beside the proxy's", "172.16.0.8:1", http.Header{"X-Forwarded-User": {"ann"}}, "no_credential"},
		{"a user from elsewhere", "192.0.2.1:1", http.Header{"X-Forwarded-User": {"ann"}}, "no_credential"},
		{"a user from elsewhere with forged forwarding headers", "192.0.2.1:1", http.Header{"X-Forwarded-User": {"ann"}, "X-Forwarded-For": {"10.1.2.3"}, "X-Real-Ip": {"10.1.2.3"}, "Forwarded": {"for=10.1.2.3"}}, "no_credential"},
		{"a user from a peer without an address", "@", http.Header{"X-Forwarded-User": {"ann"}}, "no_credential"},
		{"another header from the proxy", "10.1.2.3:1", http.Header{"X-Remote-User": {"ann"}}, "no_credential"},
		{"two users", "10.1.2.3:1", http.Header{"X-Forwarded-User": {"ann", "root"}}, "malformed"},
		{"a long user", "10.1.2.3:1", http.Header{"X-Forwarded-User": {long}}, "malformed"},
		{"an empty user", "10.1.2.3:1", http.Header{"X-Forwarded-User": {""}}, "no_credential"},
		{"a user and a token", "10.1.2.3:1", http.Header{"X-Forwarded-User": {"ann"}, "Authorization": {"Bearer " + otherToken}}, "other"},
		{"a user and an old cookie", "10.1.2.3:1", http.Header{"X-Forwarded-User": {"ann"}, "Cookie": {CookieName + "=gone"}}, "user:ann"},
		{"a user from elsewhere and a cookie", "192.0.2.1:1", http.Header{"X-Forwarded-User": {"ann"}, "Cookie": {cookie}}, "reader"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/v1/flows", nil)
			r.RemoteAddr = tt.peer
			if tt.header != nil {
				r.Header = tt.header
			}
			g, err := a.Authenticate(r)
			got := string(reason(t, err))
			if err == nil {
				got = g.Name()
			}
			if got != tt.want {
				t.Errorf("%s (%v), want %s", got, err, tt.want)
			}
		})
	}
}

func TestAuthenticate_PermissionsOfProxyUsers(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:1"
	r.Header.Set("X-Forwarded-User", "ann")
	g, err := withProxy(t).Authenticate(r)
	must(t, err)
	if !g.CanRead("x") || g.CanIngest("x") || g.CanAdmin("x") {
		t.Errorf("ann may read %v, ingest %v, admin %v", g.CanRead("x"), g.CanIngest("x"), g.CanAdmin("x"))
	}
}

func TestAuthenticate_DeniesCrossOriginChanges(t *testing.T) {
	a := withProxy(t)
	tests := []struct {
		name, method string
		header       map[string]string
		want         Reason
	}{
		{"a read of any page", "GET", map[string]string{"Sec-Fetch-Site": "cross-site"}, ""},
		{"its own page", "POST", map[string]string{"Sec-Fetch-Site": "same-origin"}, ""},
		{"its own page, behind a proxy that changes Host", "POST", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "https://public.example"}, ""},
		{"a program", "POST", nil, ""},
		{"another site", "POST", map[string]string{"Sec-Fetch-Site": "cross-site"}, Origin},
		{"another name of the site", "DELETE", map[string]string{"Sec-Fetch-Site": "same-site"}, Origin},
		{"an old browser on another site", "POST", map[string]string{"Origin": "https://evil.example"}, Origin},
		{"a page without origin", "POST", map[string]string{"Origin": "null"}, Origin},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, with := range []map[string]string{{"Cookie": CookieName + "=" + readerToken}, {"X-Forwarded-User": "ann"}, {"Authorization": "Bearer " + readerToken}} {
				r := httptest.NewRequest(tt.method, "https://flow.example/v1/flows/x", nil)
				r.RemoteAddr = "10.0.0.1:1"
				for _, header := range []map[string]string{tt.header, with} {
					for k, v := range header {
						r.Header.Set(k, v)
					}
				}
				want := tt.want
				if with["Authorization"] != "" { // no browser adds this header by itself
					want = ""
				}
				if _, err := a.Authenticate(r); reason(t, err) != want {
					t.Errorf("with %v: %v, want %q", with, err, want)
				}
			}
		})
	}
}

func TestSignIn(t *testing.T) {
	a := twoClusters(t)
	token := fsn1().token(t, goodClaims())
	w := httptest.NewRecorder()
	g, err := a.SignIn(w, httptest.NewRequest("POST", "/sign-in", nil), " "+token+"\n")
	must(t, err)
	c := w.Result().Cookies()[0]
	if c.Name != "__Host-openova-flow" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie is %v", c)
	}
	if !c.Expires.Equal(g.expires) || g.expires.IsZero() {
		t.Errorf("the cookie expires at %v, the token at %v", c.Expires, g.expires)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(c)
	if g, err := a.Authenticate(r); err != nil || g.Name() != "cluster-fsn1" {
		t.Errorf("the cookie does not sign in: %v", err)
	}
	w = httptest.NewRecorder()
	must(t, a.SignOut(w, httptest.NewRequest("POST", "/sign-out", nil)))
	if c := w.Result().Cookies()[0]; c.Name != CookieName || c.Value != "" || c.MaxAge >= 0 || !c.Secure || c.Path != "/" {
		t.Errorf("the cookie is not deleted: %v", c)
	}
}

func TestSignIn_Denies(t *testing.T) {
	a := withProxy(t)
	for token, want := range map[string]Reason{
		"": NoCredential, " \n": NoCredential, "x": Unknown, "a b": Malformed, "a;b": Malformed, readerToken + "\x00": Malformed, "ü": Malformed,
		strings.Repeat("x", maxCookie+1): Malformed, strings.Repeat("x", maxToken+1): Malformed, fsn1().token(t, goodClaims()): Unknown,
	} {
		w := httptest.NewRecorder()
		if _, err := a.SignIn(w, httptest.NewRequest("POST", "/", nil), token); reason(t, err) != want {
			t.Errorf("%.20q: %v, want %s", token, err, want)
		}
		if len(w.Result().Cookies()) > 0 {
			t.Errorf("%.20q got a cookie", token)
		}
	}
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	if _, err := a.SignIn(w, r, readerToken); reason(t, err) != Origin || len(w.Result().Cookies()) > 0 {
		t.Errorf("sign-in from another site: %v", err)
	}
	if err := a.SignOut(w, r); reason(t, err) != Origin || len(w.Result().Cookies()) > 0 {
		t.Errorf("sign-out from another site: %v", err)
	}
}

func TestCheckLoopback(t *testing.T) {
	for _, tt := range []struct {
		host, origin, fetch string // fetch: the values of Sec-Fetch-Site, -Mode and -Dest
		method              string
		want                Reason
	}{
		{"localhost:8080", "", "", "GET", ""},
		{"LOCALHOST", "", "", "GET", ""},
		{"127.0.0.1:8080", "", "", "POST", ""},
		{"127.9.9.9", "", "", "GET", ""},
		{"[::1]:8080", "", "", "GET", ""},
		{"[::1]", "", "", "GET", ""},
		{"localhost:8080", "http://localhost:8080", "same-origin", "POST", ""},
		{"localhost:8080", "", "cross-site navigate document", "GET", ""}, // a link
		{"localhost:8080", "", "same-site navigate document", "GET", ""},
		{"localhost:8080", "", "none navigate document", "GET", ""}, // typed
		{"localhost:8080", "", "same-origin cors empty", "GET", ""},
		{"localhost:8080", "", "cross-site no-cors empty", "GET", Origin}, // without Origin
		{"localhost:8080", "", "same-site no-cors image", "GET", Origin},
		{"localhost:8080", "", "cross-site navigate iframe", "GET", Origin},
		{"localhost:8080", "", "cross-site", "GET", Origin},
		{"localhost:8080", "", "cross-site navigate document", "DELETE", Origin},
		{"localhost:8080", "http://localhost:3000", "same-site", "GET", Origin},
		{"localhost:8080", "https://evil.example", "", "GET", Origin},
		{"localhost:8080", "http://localhost:8080.evil.example", "", "GET", Origin},
		{"localhost:8080", "null", "", "GET", Origin},
		{"localhost:8080", "ftp://localhost:8080", "", "GET", Origin},
		{"localhost:8080", "", "cross-site", "POST", Origin}, // a form
		{"localhost:8080", "http://listed.example", "cross-site", "POST", ""},
		{"localhost:8080", "http://listed.example.evil.example", "cross-site", "GET", Origin},
		{"evil.example", "http://listed.example", "cross-site", "GET", Host},
		{"evil.example", "", "", "GET", Host},
		{"evil.example:8080", "http://evil.example:8080", "same-origin", "GET", Host}, // a name that resolves to this machine
		{"localhost.evil.example", "", "", "GET", Host},
		{"evil.example.localhost", "", "", "GET", Host},
		{"localhost.", "", "", "GET", Host},
		{"localhost:8080:8080", "", "", "GET", Host},
		{"127.1", "", "", "GET", Host},
		{"127.0.0.1.evil.example", "", "", "GET", Host},
		{"10.0.0.1", "", "", "GET", Host},
		{"0.0.0.0", "", "", "GET", Host},
		{"[::1%25lo]:8080", "", "", "GET", Host}, // no browser sends a zone
		{"[::1%25lo]", "", "", "GET", Host},
		{"[::1%lo]:8080", "", "", "GET", Host},
		{"", "", "", "GET", Host},
	} {
		r := httptest.NewRequest(tt.method, "/v1/flows", nil)
		r.Host = tt.host
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		for i, value := range strings.Fields(tt.fetch) {
			r.Header.Set([]string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"}[i], value)
		}
		if err := CheckLoopback(r, "http://listed.example"); reason(t, err) != tt.want {
			t.Errorf("%s %q from %q: %v, want %q", tt.method, tt.host, tt.origin, err, tt.want)
		}
	}
	for _, good := range []string{"http://localhost:8080", "http://listed.example"} {
		for _, two := range [][]string{{good, "https://evil.example"}, {"https://evil.example", good}} {
			r := httptest.NewRequest("GET", "/v1/flows", nil)
			r.Host, r.Header["Origin"] = "localhost:8080", two
			if err := CheckLoopback(r, "http://listed.example"); reason(t, err) != Origin {
				t.Errorf("from %v: %v", two, err)
			}
		}
	}
	r := httptest.NewRequest("GET", "/v1/flows", nil)
	r.Host, r.Header["Sec-Fetch-Site"] = "localhost:8080", []string{"same-origin", "cross-site"}
	if err := CheckLoopback(r); reason(t, err) != Origin {
		t.Errorf("with Sec-Fetch-Site twice: %v", err)
	}
}

func TestCheckLoopback_DeniesRequestsOfForeignPages(t *testing.T) {
	const host, listed = "localhost:8080", "http://listed.example"
	for _, tt := range []struct {
		what, method string
		header       map[string]string
		want         Reason
	}{
		{"a program", "GET", nil, ""},
		{"the page itself", "GET", map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Referer": "http://" + host + "/"}, ""},
		{"a bookmark", "GET", map[string]string{"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, ""},
		{"a link elsewhere", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Referer": "https://evil.example/"}, ""},
		{"a link on another port", "GET", map[string]string{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, ""},
		{"a listed origin", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Origin": listed}, ""},
		{"fetch with no-cors", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"}, Origin},
		{"an image", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, Origin},
		{"another port", "GET", map[string]string{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, Origin},
		{"a frame", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, Origin},
		{"no Sec-Fetch-Mode", "HEAD", map[string]string{"Sec-Fetch-Site": "cross-site"}, Origin},
		{"an unknown Sec-Fetch-Site", "GET", map[string]string{"Sec-Fetch-Site": "Same-Origin"}, Origin},
		{"a form", "POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, Origin},
		{"Origin alone", "GET", map[string]string{"Origin": "https://evil.example"}, Origin},
		{"Referer alone", "GET", map[string]string{"Referer": "https://evil.example/x", "Accept": "*/*"}, Origin},
		{"Referer of another port", "GET", map[string]string{"Referer": "http://localhost:3000/", "Accept": "image/png"}, Origin},
		{"Referer that can't be read", "GET", map[string]string{"Referer": "%zz"}, Origin},
		{"Referer of a link", "GET", map[string]string{"Referer": "https://evil.example/x", "Accept": "text/html,*/*"}, ""},
		{"Referer of a form", "POST", map[string]string{"Referer": "https://evil.example/x", "Accept": "text/html,*/*"}, Origin},
		{"Referer of the page itself", "GET", map[string]string{"Referer": "http://" + host + "/?flow=F"}, ""},
		{"Referer of a listed origin", "GET", map[string]string{"Referer": listed + "/x"}, ""},
	} {
		r := httptest.NewRequest(tt.method, "http://"+host+"/v1/flows", nil)
		for name, value := range tt.header {
			r.Header.Set(name, value)
		}
		if err := CheckLoopback(r, listed); reason(t, err) != tt.want {
			t.Errorf("%s: %v, want %q", tt.what, err, tt.want)
		}
	}
}

func TestUnguarded_AllowsEverything(t *testing.T) {
	a := Unguarded()
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Authorization", "whatever")
	g, err := a.Authenticate(r)
	must(t, err)
	if g.Name() != "anonymous" || !g.CanAdmin("x") || g.Bound() || g.CheckDelete("x") != nil {
		t.Errorf("%s lacks a permission", g.Name())
	}
	s := a.Open(g, func(*Grant) error { return nil })
	s.Then(func() { t.Error("the session ended") })
	s.Close()
	if s.Err() != nil {
		t.Error("the session has ended")
	}
	if strings.Join(g.Scopes(), " ") != "read ingest admin" || g.SignedIn() != "none" || a.Guarded() {
		t.Errorf("%v by %s", g.Scopes(), g.SignedIn())
	}
}

func TestDenial_Challenge(t *testing.T) {
	for _, r := range Reasons {
		denial := Denial{Reason: r}
		switch r {
		case Scope, Flow, Region, Origin, Host:
			if denial.Unauthenticated() {
				t.Errorf("%s is answered 401", r)
			}
		default:
			if !denial.Unauthenticated() || !strings.HasPrefix(denial.Challenge(), "Bearer ") {
				t.Errorf("%s is not answered 401", r)
			}
		}
	}
	if c := (&Denial{Reason: NoCredential}).Challenge(); strings.Contains(c, "error") {
		t.Errorf("the challenge without a credential is %s", c)
	}
}
