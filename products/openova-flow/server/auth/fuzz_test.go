package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// FuzzConfig checks that an accepted file has the properties that the package relies on, and the entries that encoding/json reads.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(asJSON(f, validConfig())))
	f.Add([]byte(`{"tokens":[{"name":"a","sha256":"` + Hash("1") + `","scopes":["ingest"],"flows":["x"],"regions":["b","a"]}]}`))
	f.Add([]byte(`{"tokens":[],"tokens":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig(data)
		if err != nil {
			if c != nil {
				t.Fatal("parseConfig returned a config and an error")
			}
			return
		}
		var plain struct {
			Tokens []struct{ Name, SHA256 string }
			Trust  []struct{ Name, Issuer, Audience, Subject string }
		}
		if err := json.Unmarshal(data, &plain); err != nil || len(plain.Tokens) != len(c.tokens) || len(plain.Trust) != len(c.trust) {
			t.Fatalf("encoding/json reads %+v (%v)", plain, err)
		}
		names := map[string]bool{}
		entry := func(name, plain string, r permissions) {
			if name == "" || name != plain || names[name] {
				t.Fatalf("the name %q, which is %q in the file", name, plain)
			}
			names[name] = true
			checkPermissions(t, r)
		}
		for i, e := range c.tokens {
			entry(e.name, plain.Tokens[i].Name, e.permissions)
		}
		for i, e := range c.trust {
			entry(e.name, plain.Trust[i].Name, e.permissions)
			if e.issuer == "" || e.audience == "" || e.subject == "" || (e.source.file == "") == (e.source.url == "") {
				t.Fatalf("the entry %+v", e)
			}
		}
		if c.proxy != nil {
			checkPermissions(t, c.proxy.permissions)
			if len(c.proxy.peers) == 0 || c.proxy.header == "" {
				t.Fatalf("the proxy %+v", c.proxy)
			}
		}
	})
}

func checkPermissions(t *testing.T, r permissions) {
	if r.scopes == 0 || len(r.flows) == 0 || r.regions != nil && (len(r.regions) == 0 || r.scopes&scopeIngest == 0) {
		t.Fatalf("the permissions %+v", r)
	}
	for _, region := range r.regions {
		if region == "" || strings.ContainsAny(region, "/ ") {
			t.Fatalf("the region %q", region)
		}
	}
}

// FuzzJWT checks that parseJWT returns either claims or a denial, and that no header and claims are accepted without the right key.
func FuzzJWT(f *testing.F) {
	a := twoClusters(f)
	attacker := newCluster("attacker")
	f.Add(asJSON(f, fsn1().header()), asJSON(f, goodClaims()), []byte("signature"))
	f.Add(`{"alg":"none"}`, `{"iss":"x","sub":"y","aud":["z"],"exp":99999999999}`, []byte{})
	f.Add(`{"alg":"ES256","kid":"fsn1-key-ec"}`, asJSON(f, goodClaims()), make([]byte, 64))
	f.Fuzz(func(t *testing.T, header, payload string, signature []byte) {
		input := b64([]byte(header)) + "." + b64([]byte(payload))
		if c, _ := parseJWT(input + "." + b64(signature)); c == nil {
			if g, err := checkToken(a, input+"."+b64(signature)); err == nil {
				t.Fatalf("a malformed token is accepted as %s", g.Name())
			}
			return
		}
		for _, sig := range [][]byte{signature, attacker.rs256([]byte(input)), attacker.es256([]byte(input))} {
			token := input + "." + b64(sig)
			if g, err := checkToken(a, token); err == nil {
				t.Fatalf("%s is accepted as %s", token, g.Name())
			}
			c, denial := parseJWT(token)
			if (c == nil) == (denial == nil) {
				t.Fatal("want either claims or a denial")
			}
			if c != nil && (c.algorithm != rs256 && c.algorithm != es256 || c.expires.IsZero()) {
				t.Fatalf("the claims %+v", c)
			}
		}
	})
}

// FuzzEditedToken changes a good token in one place.
func FuzzEditedToken(f *testing.F) {
	a := twoClusters(f)
	good := fsn1().token(f, goodClaims())
	f.Add(uint16(0), uint16(0), "")
	f.Add(uint16(len(good)), uint16(0), "=")
	f.Add(uint16(len(good)-1), uint16(1), "B")
	f.Add(uint16(10), uint16(0), "\n")
	f.Fuzz(func(t *testing.T, at, cut uint16, insert string) {
		i := int(at) % (len(good) + 1)
		edited := good[:i] + insert + good[min(len(good), i+int(cut)):]
		if _, err := checkToken(a, edited); (err == nil) != (edited == good) {
			t.Fatalf("%q: %v", edited, err)
		}
	})
}

// FuzzKeySet checks that every accepted key is strong and complete.
func FuzzKeySet(f *testing.F) {
	f.Add([]byte(fsn1().jwks(f)))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"RSA","n":"AA","e":"AQAB"},7,null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseJWKS(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q is not JSON", data)
		}
		for _, k := range s.keys {
			switch public := k.public.(type) {
			case *rsa.PublicKey:
				if public.N.BitLen() < minRSA || public.E < 3 || public.E%2 == 0 {
					t.Fatalf("an RSA key of %d bits with exponent %d", public.N.BitLen(), public.E)
				}
			case *ecdsa.PublicKey:
				if _, err := public.ECDH(); public.Curve != elliptic.P256() || err != nil {
					t.Fatalf("a key that is not on the curve: %v", err)
				}
			default:
				t.Fatalf("a key of type %T", public)
			}
		}
	})
}

// FuzzCredential: any headers give a matching credential or a denial, and no printed credential contains a bearer token.
func FuzzCredential(f *testing.F) {
	f.Add("Bearer abc", "", "")
	f.Add("", CookieName+"=abc; "+CookieName+"=def", "10.0.0.1:80")
	f.Add("bearer  a=b", "x="+CookieName, "[::1%eth0]:5")
	f.Fuzz(func(t *testing.T, authorization, cookie, peer string) {
		r := &http.Request{Header: http.Header{"Authorization": {authorization}, "Cookie": {cookie}, "X-User": {"u"}}, RemoteAddr: peer}
		if authorization == "" {
			r.Header.Del("Authorization")
		}
		proxy := &proxyEntry{header: "X-User", peers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
		c, err := credentialOf(r, proxy)
		if err != nil {
			if c != (Credential{}) {
				t.Fatal("credentialOf returned a credential and an error")
			}
			return
		}
		switch {
		case authorization != "":
			if c.kind != kindBearer || !strings.HasSuffix(authorization, c.token.Value()) || strings.ContainsAny(c.token.Value(), " \r\n\t,;\"") {
				t.Fatalf("%q gives %q", authorization, c.token.Value())
			}
			if token := c.token.Value(); len(token) > 12 && strings.Contains(fmt.Sprintf("%v %+v %#v", c, c, c), token) {
				t.Fatal("the token is printed")
			}
		case c.kind == kindProxy:
			if !strings.HasPrefix(peer, "10.") && !strings.HasPrefix(strings.ToLower(peer), "[::ffff:") {
				t.Fatalf("%q is trusted", peer)
			}
		case c.kind == kindCookie:
			if strings.Count(cookie, CookieName) < 1 {
				t.Fatalf("%q gives a credential", cookie)
			}
		}
	})
}
