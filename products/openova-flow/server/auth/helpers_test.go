package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testIssuer  = "https://kubernetes.default.svc"
	testSubject = "system:serviceaccount:flux-system:openova-flow-emitter"
)

// cluster signs tokens as an API server does.
type cluster struct {
	kid string
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
}

// Two clusters with the same issuer.
var (
	fsn1 = sync.OnceValue(func() *cluster { return newCluster("fsn1-key") })
	hel1 = sync.OnceValue(func() *cluster { return newCluster("hel1-key") })
)

func newCluster(kid string) *cluster {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return &cluster{kid, r, e}
}

// jwks returns the cluster's key set; the kid of the EC key ends in -ec.
func (c *cluster) jwks(t testing.TB) string { return keySetOf(t, c.rsaJWK(), c.ecJWK(t)) }

func (c *cluster) rsaJWK() object {
	return object{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": c.kid, "n": b64(c.rsa.N.Bytes()), "e": b64(big.NewInt(int64(c.rsa.E)).Bytes())}
}

func (c *cluster) ecJWK(t testing.TB) object {
	t.Helper()
	point, err := c.ec.PublicKey.Bytes()
	must(t, err)
	return object{"kty": "EC", "crv": "P-256", "kid": c.kid + "-ec", "x": b64(point[1:33]), "y": b64(point[33:])}
}

func keySetOf(t testing.TB, keys ...object) string {
	t.Helper()
	return asJSON(t, object{"keys": keys})
}

type object map[string]any

// with returns a copy of the object with the fields of more; a nil value removes the field.
func (o object) with(more object) object {
	o = maps.Clone(o)
	for k, v := range more {
		if o[k] = v; v == nil {
			delete(o, k)
		}
	}
	return o
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// goodClaims returns the claims of a token that the entries of trustOf accept.
func goodClaims() object {
	now := time.Now().Unix()
	return object{"iss": testIssuer, "sub": testSubject, "aud": []string{"openova-flow"}, "exp": now + 3600, "nbf": now, "iat": now}
}

func (c *cluster) header() object { return object{"alg": "RS256", "kid": c.kid} }

// token returns a token with these claims that the cluster has signed with RS256.
func (c *cluster) token(t testing.TB, claims object) string {
	t.Helper()
	return signed(t, c.header(), claims, c.rs256)
}

// signed returns a token with any header and claims, signed by sign.
func signed(t testing.TB, header, claims any, sign func(input []byte) []byte) string {
	t.Helper()
	input := b64([]byte(asJSON(t, header))) + "." + b64([]byte(asJSON(t, claims)))
	return input + "." + b64(sign([]byte(input)))
}

func (c *cluster) rs256(input []byte) []byte {
	sum := sha256.Sum256(input)
	sig, err := rsa.SignPKCS1v15(nil, c.rsa, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return sig
}

func (c *cluster) es256(input []byte) []byte {
	sum := sha256.Sum256(input)
	r, s, err := ecdsa.Sign(rand.Reader, c.ec, sum[:])
	if err != nil {
		panic(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

func hs256(secret []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write(input)
		return h.Sum(nil)
	}
}

func unsigned([]byte) []byte { return nil }

// trustOf returns the trust entry of a region. Its keys are in <region>.json, beside the tokens file.
func trustOf(region string) object {
	return object{"name": "cluster-" + region, "issuer": testIssuer, "audience": "openova-flow", "subject": testSubject, "jwksFile": region + ".json",
		"scopes": []string{"read", "ingest"}, "flows": []string{"prod-*"}, "regions": []string{region}}
}

func tokenOf(name, token string) object {
	return object{"name": name, "sha256": Hash(token), "scopes": []string{"read"}, "flows": []string{"*"}}
}

// tokensDir is a temporary folder with a tokens file and the key files that it names.
type tokensDir struct {
	t   testing.TB
	dir string
	log lockedBuffer
}

func newTokensDir(t testing.TB) *tokensDir { return &tokensDir{t: t, dir: t.TempDir()} }

func (p *tokensDir) path(name string) string { return filepath.Join(p.dir, name) }

// put replaces a file atomically: a reader sees the old content or the new one.
func (p *tokensDir) put(name, content string) {
	p.t.Helper()
	must(p.t, os.WriteFile(p.path(name+".new"), []byte(content), 0o600))
	must(p.t, os.Rename(p.path(name+".new"), p.path(name)))
}

// file writes the tokens file.
func (p *tokensDir) file(v any) {
	p.t.Helper()
	p.put("tokens.json", asJSON(p.t, v))
}

func (p *tokensDir) load() *Authority {
	p.t.Helper()
	a, err := Load(p.path("tokens.json"), slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	must(p.t, err)
	return a
}

// twoClusters returns an Authority that trusts fsn1 and hel1, each with its own keys.
func twoClusters(t testing.TB) *Authority {
	t.Helper()
	p := newTokensDir(t)
	p.put("fsn1.json", fsn1().jwks(t))
	p.put("hel1.json", hel1().jwks(t))
	p.file(object{"trust": []object{trustOf("fsn1"), trustOf("hel1")}})
	return p.load()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// reason returns the reason of a denial, or an empty one if err is nil. It fails the test on any other error.
func reason(t testing.TB, err error) Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var r *Denial
	if !errors.As(err, &r) {
		t.Fatalf("%v is not a Denial", err)
	}
	return r.Reason
}

func checkToken(a *Authority, token string) (*Grant, error) {
	return a.Check(context.Background(), Bearer(token))
}

// accepted checks that a token is accepted as that of the principal with this name, and returns its grant.
func accepted(t testing.TB, a *Authority, token, name string) *Grant {
	t.Helper()
	g, err := checkToken(a, token)
	if err != nil {
		t.Fatalf("denied: %v", err)
	}
	if g.Name() != name {
		t.Fatalf("accepted as %s, want %s", g.Name(), name)
	}
	return g
}

// denied checks that a token is denied for this reason, and that neither the error, its log value nor its challenge repeats a part of the token.
func denied(t testing.TB, a *Authority, token string, want Reason) {
	t.Helper()
	g, err := checkToken(a, token)
	if err == nil {
		t.Fatalf("accepted as %s, want a denial for %s", g.Name(), want)
	}
	if got := reason(t, err); got != want {
		t.Fatalf("denied for %s (%v), want %s", got, err, want)
	}
	var r *Denial
	errors.As(err, &r)
	for part := range strings.SplitSeq(token, ".") {
		if text := err.Error() + r.LogValue().String() + r.Challenge(); len(part) > 3 && strings.Contains(text, part) {
			t.Errorf("%q repeats the token", text)
		}
	}
}
