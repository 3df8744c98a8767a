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

// Two clusters that call themselves the same.
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

// jwks is the cluster's key set; the EC key's kid ends in -ec.
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

// with is the object with other values; nil takes a key away.
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

// goodClaims are those of a token that the entry of testFile accepts.
func goodClaims() object {
	now := time.Now().Unix()
	return object{"iss": testIssuer, "sub": testSubject, "aud": []string{"openova-flow"}, "exp": now + 3600, "nbf": now, "iat": now}
}

func (c *cluster) header() object { return object{"alg": "RS256", "kid": c.kid} }

// token is one that the cluster signs with RS256.
func (c *cluster) token(t testing.TB, claims object) string {
	t.Helper()
	return sealed(t, c.header(), claims, c.rs256)
}

// sealed is a token of any header and claims that sign has signed.
func sealed(t testing.TB, header, claims any, sign func(input []byte) []byte) string {
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

// trustOf is the trust entry of a region whose keys are in a file beside the tokens file.
func trustOf(region string) object {
	return object{"name": "cluster-" + region, "issuer": testIssuer, "audience": "openova-flow", "subject": testSubject, "jwksFile": region + ".json",
		"scopes": []string{"read", "ingest"}, "flows": []string{"prod-*"}, "regions": []string{region}}
}

func tokenOf(name, token string) object {
	return object{"name": name, "sha256": Hash(token), "scopes": []string{"read"}, "flows": []string{"*"}}
}

// place is a folder with a tokens file and what it names.
type place struct {
	t   testing.TB
	dir string
	log lockedBuffer
}

func newPlace(t testing.TB) *place { return &place{t: t, dir: t.TempDir()} }

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

// put writes a file at once: who reads it sees all of it or what was there before.
func (p *place) put(name, content string) {
	p.t.Helper()
	must(p.t, os.WriteFile(p.path(name+".new"), []byte(content), 0o600))
	must(p.t, os.Rename(p.path(name+".new"), p.path(name)))
}

// file writes the tokens file.
func (p *place) file(v any) {
	p.t.Helper()
	p.put("tokens.json", asJSON(p.t, v))
}

func (p *place) load() *Authority {
	p.t.Helper()
	a, err := Load(p.path("tokens.json"), slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	must(p.t, err)
	return a
}

// twoClusters trusts both clusters, each by its own keys.
func twoClusters(t testing.TB) *Authority {
	t.Helper()
	p := newPlace(t)
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

// reason is why err turns a caller away, empty when it is nil.
func reason(t testing.TB, err error) Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var r *Refusal
	if !errors.As(err, &r) {
		t.Fatalf("%v is no Refusal", err)
	}
	return r.Reason
}

func checkToken(a *Authority, token string) (*Grant, error) {
	return a.Check(context.Background(), Bearer(token))
}

// accepted checks that a token is that of the caller of that name.
func accepted(t testing.TB, a *Authority, token, name string) *Grant {
	t.Helper()
	g, err := checkToken(a, token)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	if g.Name() != name {
		t.Fatalf("taken for %s, want %s", g.Name(), name)
	}
	return g
}

// refused checks that a token is turned away for that reason, and that neither the error nor its log value repeats any of it.
func refused(t testing.TB, a *Authority, token string, want Reason) {
	t.Helper()
	g, err := checkToken(a, token)
	if err == nil {
		t.Fatalf("accepted as %s, want it refused for %s", g.Name(), want)
	}
	if got := reason(t, err); got != want {
		t.Fatalf("refused for %s (%v), want %s", got, err, want)
	}
	var r *Refusal
	errors.As(err, &r)
	for part := range strings.SplitSeq(token, ".") {
		if said := err.Error() + r.LogValue().String() + r.Challenge(); len(part) > 3 && strings.Contains(said, part) {
			t.Errorf("%q repeats the token", said)
		}
	}
}
