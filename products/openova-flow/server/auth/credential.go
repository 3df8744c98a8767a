package auth

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unique"
)

// CookieName is the cookie of a signed-in browser. Because of its prefix, browsers accept it only with Secure and for this host.
const CookieName = "__Host-openova-flow"

const (
	maxCookie = 4000 // bytes; browsers drop a cookie whose name and value exceed 4096
	maxUser   = 128  // bytes
)

// Credential is the credential of a request. It never prints its secret.
type Credential struct {
	kind   kind
	token  unique.Handle[string] // compares like the token, but prints as an address, also within other values
	user   string                // from a proxy
	header string                // the header with the user
	peer   netip.Addr
}

type kind uint8

const (
	kindNone   kind = iota
	kindBearer      // from the Authorization header
	kindCookie
	kindProxy
)

// String returns the kind of credential.
func (c Credential) String() string {
	return [...]string{"no credential", "a bearer token", "a cookie", "a proxy's user"}[c.kind]
}

// signedIn returns the kind in one word: none, bearer, cookie or proxy.
func (c Credential) signedIn() string {
	return [...]string{"none", "bearer", "cookie", "proxy"}[c.kind]
}

// GoString returns the same as String.
func (c Credential) GoString() string { return c.String() }

// Bearer is the Credential of a token.
func Bearer(token string) Credential { return Credential{kind: kindBearer, token: unique.Make(token)} }

// ambient reports whether the browser adds the credential by itself, whichever page makes the request.
func (c Credential) ambient() bool { return c.kind == kindCookie || c.kind == kindProxy }

// credentialOf returns the credential of a request: from the Authorization header, otherwise the user that a trusted proxy names, otherwise
// the cookie. A malformed one is an error; the next is not tried.
func credentialOf(r *http.Request, proxy *proxyEntry) (Credential, error) {
	if values := r.Header.Values("Authorization"); len(values) > 0 {
		token, ok := bearerToken(values[0])
		if len(values) > 1 || !ok {
			return Credential{}, malformed("send one Authorization header: Bearer TOKEN")
		}
		return Bearer(token), nil
	}
	if proxy != nil {
		if values, peer := r.Header.Values(proxy.header), peerOf(r); len(values) > 0 && proxy.trusts(peer) {
			switch user := values[0]; {
			case len(values) > 1 || len(user) > maxUser:
				return Credential{}, malformed("the proxy must name one user, of at most 128 bytes")
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

// bearerToken parses the value of an Authorization header (RFC 6750).
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

// peerOf returns the remote address of the connection, without regard to headers.
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

// SignIn checks a token and sets it as a cookie. Since the cookie is the token itself, revoking the token revokes the cookie, and the
// cookie survives a restart of the server and needs no key. Scripts can't read it, and other sites can't make the browser send it. It
// ends when the token expires or, if that does not, with the browser session. Browsers accept it over https, most of them also from localhost.
func (a *Authority) SignIn(w http.ResponseWriter, r *http.Request, token string) (*Grant, error) {
	if err := checkOrigin(r); err != nil {
		return nil, err
	}
	token = strings.TrimSpace(token)
	switch _, ok := bearerToken("Bearer " + token); {
	case token == "":
		return nil, &Denial{Reason: NoCredential, Detail: "no token: enter one"}
	case !ok:
		return nil, malformed("not a token: it has characters that no token has")
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

// SignOut deletes the cookie.
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

// Authenticate returns the grant of the caller of a request. The error is a *Denial. A request that changes something is denied if a page of another
// origin may have caused it and the browser adds the credential by itself.
func (a *Authority) Authenticate(r *http.Request) (*Grant, error) {
	if !a.Guarded() {
		return a.all, nil
	}
	c, err := credentialOf(r, a.policy.Load().proxy)
	if err != nil {
		return nil, err
	}
	g, err := a.Check(r.Context(), c)
	if err == nil && c.ambient() {
		if denial := checkOrigin(r); denial != nil {
			return nil, &Denial{Reason: Origin, Name: g.name, Detail: denial.Error()}
		}
	}
	return g, err
}

// Check returns the grant of a credential. If keys have to be fetched, it waits up to five seconds. For a fetch that
// is already running it waits no longer than until ctx ends. The error is a *Denial.
func (a *Authority) Check(ctx context.Context, c Credential) (*Grant, error) {
	g, denial := a.check(c, func(k *keyring) { k.fetch(ctx, context.WithoutCancel(ctx)) })
	if denial != nil {
		return nil, denial
	}
	return g, nil
}

// Recheck checks the credential of a grant again and returns the current grant, for a request with a body that took time to arrive. The error is a
// *Denial.
func (a *Authority) Recheck(ctx context.Context, g *Grant) (*Grant, error) {
	if !a.Guarded() || g.generation == a.generation.Load() && g.holds(time.Now()) {
		return g, nil
	}
	now, err := a.Check(ctx, g.credential)
	if denial, ok := err.(*Denial); ok {
		denial.Name = g.name // a revoked token has no entry with a name
	}
	return now, err
}
