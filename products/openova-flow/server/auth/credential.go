package auth

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unique"
)

// CookieName is the cookie that a browser signs in with. Its prefix makes browsers accept it only with Secure and for this host alone.
const CookieName = "__Host-openova-flow"

const (
	maxCookie = 4000 // bytes; browsers drop longer ones
	maxUser   = 128  // bytes
)

// Credential is what a request shows of who makes it. It never prints what it holds.
type Credential struct {
	kind   kind
	token  unique.Handle[string] // compares as the token does, and prints as an address wherever it is in
	user   string                // as a proxy names it
	header string                // in which it does
	peer   netip.Addr
}

type kind uint8

const (
	kindNone   kind = iota
	kindBearer      // of the Authorization header
	kindCookie
	kindProxy
)

// String says what kind of credential it is.
func (c Credential) String() string {
	return [...]string{"no credential", "a bearer token", "a cookie", "a proxy's user"}[c.kind]
}

// signedIn is the same in one word: none, bearer, cookie or proxy.
func (c Credential) signedIn() string {
	return [...]string{"none", "bearer", "cookie", "proxy"}[c.kind]
}

// GoString is String, so that %#v is as silent.
func (c Credential) GoString() string { return c.String() }

// Bearer is the Credential of a token.
func Bearer(token string) Credential { return Credential{kind: kindBearer, token: unique.Make(token)} }

// ambient reports whether a browser adds the credential by itself, whichever page makes the request.
func (c Credential) ambient() bool { return c.kind == kindCookie || c.kind == kindProxy }

// credentialOf takes the credential out of a request: the Authorization header, else the user that a trusted proxy names, else the
// cookie. What can't be read is refused, not passed over.
func credentialOf(r *http.Request, proxy *proxyEntry) (Credential, error) {
	if values := r.Header.Values("Authorization"); len(values) > 0 {
		token, ok := bearerToken(values[0])
		if len(values) > 1 || !ok {
			return Credential{}, malformed("one Authorization header is needed, as Bearer and a token")
		}
		return Bearer(token), nil
	}
	if proxy != nil {
		if values, peer := r.Header.Values(proxy.header), peerOf(r); len(values) > 0 && proxy.trusts(peer) {
			switch user := values[0]; {
			case len(values) > 1 || len(user) > maxUser:
				return Credential{}, malformed("the proxy has to name one user, with 128 bytes at most")
			case user != "":
				return Credential{kind: kindProxy, user: user, header: proxy.header, peer: peer}, nil
			}
		}
	}
	switch cookies := r.CookiesNamed(CookieName); {
	case len(cookies) > 1:
		return Credential{}, malformed("the cookie was sent twice")
	case len(cookies) == 1 && cookies[0].Value != "":
		return Credential{kind: kindCookie, token: unique.Make(cookies[0].Value)}, nil
	}
	return Credential{}, nil
}

// bearerToken reads the value of an Authorization header (RFC 6750).
func bearerToken(value string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(value, " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || len(token) > maxToken {
		return "", false
	}
	body := strings.TrimRight(token, "=")
	for i := range len(body) {
		if !isAlnum(body[i]) && !strings.Contains("-._~+/", body[i:i+1]) {
			return "", false
		}
	}
	return token, body != ""
}

// peerOf is the address that the connection comes from, whatever the headers say.
func peerOf(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr)
	return a.Addr().Unmap().WithZone("")
}

func (p *proxyEntry) trusts(peer netip.Addr) bool {
	for _, prefix := range p.peers {
		if prefix.Contains(peer) {
			return true
		}
	}
	return false
}

// SignIn makes a token that holds the cookie of the browser that sends it. The cookie is the token itself: so it is revoked where the
// token is, outlives a restart of the server, and needs no key of the server's own. No script can read it, no other site makes the
// browser send it, and it goes when the browser ends or the token expires. Browsers take it over https, and most of them from localhost.
func (a *Authority) SignIn(w http.ResponseWriter, r *http.Request, token string) (*Grant, error) {
	if err := checkOrigin(r); err != nil {
		return nil, err
	}
	token = strings.TrimSpace(token)
	switch _, ok := bearerToken("Bearer " + token); {
	case token == "":
		return nil, &Refusal{Reason: NoCredential, Detail: "a token is needed"}
	case !ok:
		return nil, malformed("this is no token")
	case len(token) > maxCookie:
		return nil, malformed("the token is too long for a cookie")
	}
	g, err := a.Check(r.Context(), Credential{kind: kindCookie, token: unique.Make(token)})
	if err != nil {
		return nil, err
	}
	http.SetCookie(w, cookie(token, g.expires))
	return g, nil
}

// SignOut makes the browser forget the cookie.
func (a *Authority) SignOut(w http.ResponseWriter, r *http.Request) error {
	if err := checkOrigin(r); err != nil {
		return err
	}
	c := cookie("", time.Time{})
	c.MaxAge = -1
	http.SetCookie(w, c)
	return nil
}

func cookie(value string, expires time.Time) *http.Cookie {
	return &http.Cookie{Name: CookieName, Value: value, Path: "/", Expires: expires, HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode}
}

// Authenticate says who makes a request. The error is a *Refusal. A request that a browser might make for a page of another origin, with
// a credential that it adds by itself, is refused when it would change something.
func (a *Authority) Authenticate(r *http.Request) (*Grant, error) {
	if !a.Guarded() {
		return a.open, nil
	}
	c, err := credentialOf(r, a.policy.Load().proxy)
	if err != nil {
		return nil, err
	}
	g, err := a.Check(r.Context(), c)
	if err == nil && c.ambient() {
		if refusal := checkOrigin(r); refusal != nil {
			return nil, &Refusal{Reason: Origin, Name: g.name, Detail: refusal.Error()}
		}
	}
	return g, err
}

// Check says who comes with a credential. It waits for ctx, and for five seconds at most, when keys have to be fetched first. The error
// is a *Refusal.
func (a *Authority) Check(ctx context.Context, c Credential) (*Grant, error) {
	g, refusal := a.check(c, func(k *keyring) { k.fetch(ctx, context.WithoutCancel(ctx)) })
	if refusal != nil {
		return nil, refusal
	}
	return g, nil
}

// Again says what who has a grant may do now: the grant, while nothing has changed. It is for what begins long before it is done, such as a
// request whose body takes its time. The error is a *Refusal.
func (a *Authority) Again(ctx context.Context, g *Grant) (*Grant, error) {
	if !a.Guarded() || g.generation == a.generation.Load() && g.holds(time.Now()) {
		return g, nil
	}
	now, err := a.Check(ctx, g.credential)
	if refusal, ok := err.(*Refusal); ok {
		refusal.Name = g.name // a token that was revoked has no name any more, but it had one
	}
	return now, err
}
