package matrix

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/big"
	"strings"
	"time"
)

// principal is an entry of the tokens file.
type principal struct {
	name    string
	scopes  []string
	flows   []string
	regions []string // nil: not bound
}

// credential is one way to authenticate a request.
type credential struct {
	name  string
	as    *principal // the caller that the server recognizes; nil: none
	lines []string   // header lines

	ambient     bool // added by the browser itself
	foreignPage bool // sent by a page of another origin, according to the browser
	listedPage  bool // that origin may read answers
	untrusted   bool // sent to the server that trusts no proxy at the test's address
}

var (
	everything = []string{"*"}

	reader      = &principal{"reader", []string{"read"}, ownPatterns, nil}
	readerOfAll = &principal{"reader-of-all", []string{"read"}, everything, nil}
	writer      = &principal{"writer", []string{"ingest"}, ownPatterns, nil}
	writerOfAll = &principal{"writer-of-all", []string{"read", "ingest"}, everything, nil}
	ofFsn1      = &principal{"of-fsn1", []string{"read", "ingest"}, ownPatterns, []string{"fsn1"}}
	ofFsn1Blind = &principal{"of-fsn1-blind", []string{"ingest"}, ownPatterns, []string{"fsn1"}}
	ofTwo       = &principal{"of-two", []string{"read", "ingest"}, ownPatterns, []string{"fsn1", "fsn2"}}
	ofHel1      = &principal{"of-hel1", []string{"read", "ingest"}, everything, []string{"hel1"}}
	admin       = &principal{"admin", []string{"admin"}, ownPatterns, nil}
	adminOfAll  = &principal{"admin-of-all", []string{"admin"}, everything, nil}
	adminOfFsn1 = &principal{"admin-of-fsn1", []string{"admin"}, ownPatterns, []string{"fsn1"}}

	// principals with a token of their own.
	principals = []*principal{reader, readerOfAll, writer, writerOfAll, ofFsn1, ofFsn1Blind, ofTwo, ofHel1, admin, adminOfAll, adminOfFsn1}

	cluster1 = &principal{"cluster-fsn1", []string{"read", "ingest"}, ownPatterns, []string{"fsn1"}} // by service-account tokens
	cluster2 = &principal{"cluster-hel1", []string{"read", "ingest"}, ownPatterns, []string{"hel1"}}
	cluster3 = &principal{"cluster-fsn2", []string{"read", "ingest"}, ownPatterns, []string{"fsn2"}} // the only entry with its subject
	user     = &principal{"user:ann", []string{"read", "ingest"}, ownPatterns, nil}                  // by a proxy's header
)

const (
	issuer   = "https://kubernetes.default.svc"
	audience = "openova-flow"
	subject  = "system:serviceaccount:flux-system:openova-flow-emitter"

	subjectOfFsn2 = "system:serviceaccount:flux-system:openova-flow-emitter-fsn2"
	proxyHeader   = "X-Forwarded-User"
	cookieName    = "__Host-openova-flow"
	listedOrigin  = "https://console.example"
)

// tokens are the secrets of the principals, new in each run.
var tokens = func() map[*principal]string {
	all := map[*principal]string{}
	for _, p := range principals {
		all[p] = "ofl_" + rand.Text() + rand.Text()
	}
	return all
}()

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// issuerKeys sign tokens like the API server of a cluster.
type issuerKeys struct {
	kid string
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
}

var keysOfFsn1, keysOfHel1 = newKeys("fsn1-key"), newKeys("hel1-key")

func newKeys(kid string) *issuerKeys {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return &issuerKeys{kid, r, e}
}

func (k *issuerKeys) set() string {
	point, err := k.ec.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return asJSON(object{"keys": []object{
		{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": k.kid, "n": base64url(k.rsa.N.Bytes()), "e": base64url(big.NewInt(int64(k.rsa.E)).Bytes())},
		{"kty": "EC", "crv": "P-256", "kid": k.kid + "-ec", "x": base64url(point[1:33]), "y": base64url(point[33:])},
	}})
}

func (k *issuerKeys) rs256(input []byte) []byte {
	sum := sha256.Sum256(input)
	signature, err := rsa.SignPKCS1v15(nil, k.rsa, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return signature
}

func (k *issuerKeys) es256(input []byte) []byte {
	sum := sha256.Sum256(input)
	r, s, err := ecdsa.Sign(rand.Reader, k.ec, sum[:])
	if err != nil {
		panic(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

// hs256 signs with the public key as the secret, as an attacker could.
func (k *issuerKeys) hs256(input []byte) []byte {
	h := hmac.New(sha256.New, k.rsa.N.Bytes())
	h.Write(input)
	return h.Sum(nil)
}

func unsigned([]byte) []byte { return nil }

func jwt(header, claims object, sign func([]byte) []byte) string {
	input := base64url([]byte(asJSON(header))) + "." + base64url([]byte(asJSON(claims)))
	return input + "." + base64url(sign([]byte(input)))
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// with returns the object with some members replaced; nil removes one.
func (o object) with(more object) object {
	o = maps.Clone(o)
	o.change(more)
	return o
}

func (o object) change(more object) {
	for k, v := range more {
		if o[k] = v; v == nil {
			delete(o, k)
		}
	}
}

// secrets must not appear in a log or an answer.
var secrets []string

var credentials = makeCredentials()

func makeCredentials() []*credential {
	var all []*credential
	add := func(name string, as *principal, lines ...string) *credential {
		c := &credential{name: name, as: as, lines: lines}
		all = append(all, c)
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			secret := value[strings.LastIndexAny(value, " ;=")+1:]
			if len(secret) >= 20 && !strings.EqualFold(name, proxyHeader) && name != "Origin" {
				secrets = append(secrets, secret)
			}
		}
		return c
	}
	bearer := func(token string) string { return "Authorization: Bearer " + token }
	cookie := func(token string) string { return "Cookie: " + cookieName + "=" + token }
	token := tokens[ofFsn1]

	add("none", nil)
	for _, p := range principals {
		add("bearer of "+p.name, p, bearer(tokens[p]))
		secrets = append(secrets, hashOf(tokens[p]))
	}

	// Spellings of Authorization.
	add("bearer in small letters", ofFsn1, "authorization: bearer "+token)
	add("bearer that is not known", nil, bearer("ofl_"+rand.Text()+rand.Text()))
	add("bearer that is empty", nil, "Authorization: Bearer ")
	add("bearer in capitals", nil, bearer(strings.ToUpper(tokens[adminOfAll])))
	add("bearer cut short", nil, bearer(tokens[adminOfAll][:20]))
	add("bearer with more", nil, bearer(tokens[adminOfAll]+"A"))
	add("hash as bearer", nil, bearer(hashOf(tokens[adminOfAll])))
	add("name as bearer", nil, bearer("admin-of-all"))
	add("pattern as bearer", nil, bearer("*"))
	add("two bearers in one", nil, bearer(token+" "+token))
	add("two bearers with a comma", nil, bearer(token+", Bearer "+token))
	add("two equal headers", nil, bearer(token), bearer(token))
	add("two headers", nil, bearer(token), bearer(tokens[adminOfAll]))
	add("Basic", nil, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("admin-of-all:"+tokens[adminOfAll])))
	add("token without a scheme", nil, "Authorization: "+tokens[adminOfAll])
	add("another scheme", nil, "Authorization: Token "+tokens[adminOfAll])
	add("another header", nil, "X-Authorization: Bearer "+tokens[adminOfAll])
	add("header with underscore", nil, "HTTP_AUTHORIZATION: Bearer "+tokens[adminOfAll])

	// Cookies.
	browser := func(c *credential) *credential { c.ambient = true; return c }
	browser(add("cookie", ofFsn1, cookie(token)))
	browser(add("cookie of a writer", writerOfAll, cookie(tokens[writerOfAll])))
	browser(add("cookie among others", reader, "Cookie: a=b; "+cookieName+"="+tokens[reader]+"; c=d"))
	add("cookie twice", nil, "Cookie: "+cookieName+"="+token+"; "+cookieName+"="+token)
	add("two cookie headers", nil, cookie(token), cookie(tokens[adminOfAll]))
	add("cookie without its prefix", nil, "Cookie: openova-flow="+tokens[adminOfAll])
	add("cookie in another case", nil, "Cookie: __host-openova-flow="+tokens[adminOfAll])
	add("cookie that is empty", nil, "Cookie: "+cookieName+"=")
	add("cookie that is not known", nil, cookie("ofl_"+rand.Text()+rand.Text()))
	add("cookie beside a bad bearer", nil, cookie(tokens[adminOfAll]), bearer("ofl_nobody"))
	add("cookie beside a bearer", reader, cookie(tokens[adminOfAll]), bearer(tokens[reader]))
	for _, page := range []struct{ name, line string }{
		{"of another site", "Sec-Fetch-Site: cross-site"}, {"of another host of the site", "Sec-Fetch-Site: same-site"},
		{"of another origin", "Origin: https://evil.example"}, {"without an origin", "Origin: null"}, {"of a listed origin", "Origin: " + listedOrigin},
	} {
		foreign := browser(add("cookie, page "+page.name, writerOfAll, cookie(tokens[writerOfAll]), page.line))
		foreign.foreignPage, foreign.listedPage = true, strings.Contains(page.line, listedOrigin)
		foreign = browser(add("proxy's user, page "+page.name, user, proxyHeader+": ann", page.line))
		foreign.foreignPage, foreign.listedPage = true, strings.Contains(page.line, listedOrigin)
		foreign = add("bearer, page "+page.name, ofFsn1, bearer(token), page.line)
		foreign.foreignPage, foreign.listedPage = true, strings.Contains(page.line, listedOrigin)
	}

	// A proxy's header.
	browser(add("proxy's user", user, proxyHeader+": ann"))
	browser(add("proxy's user in small letters", user, "x-forwarded-user: ann"))
	browser(add("proxy's user before a cookie", user, proxyHeader+": ann", cookie(tokens[adminOfAll])))
	add("proxy's user beside a bearer", reader, proxyHeader+": ann", bearer(tokens[reader]))
	add("proxy's user beside a bad bearer", nil, proxyHeader+": ann", bearer("ofl_nobody"))
	add("proxy's user twice", nil, proxyHeader+": ann", proxyHeader+": bob")
	add("proxy's user, empty", nil, proxyHeader+": ")
	add("proxy's user, too long", nil, proxyHeader+": "+strings.Repeat("a", 129))
	add("proxy's user with underscores", nil, "X_Forwarded_User: ann")
	add("another proxy's user", nil, "X-Remote-User: ann", "Remote-User: ann", "X-Auth-Request-User: ann")
	for _, more := range [][]string{nil, {"X-Forwarded-For: 10.9.8.7"}, {"X-Real-IP: 10.9.8.7"}, {"Forwarded: for=10.9.8.7"}, {"X-Forwarded-For: 10.9.8.7", "X-Forwarded-For: 10.9.8.7", "X-Forwarded-Host: localhost"}} {
		c := add(strings.TrimSpace("proxy's user, untrusted address "+strings.Join(more, " ")), nil, append([]string{proxyHeader + ": ann"}, more...)...)
		c.untrusted = true
	}
	c := browser(add("cookie beside a proxy's user, untrusted address", reader, proxyHeader+": ann", cookie(tokens[reader])))
	c.untrusted = true

	// Service-account tokens.
	now := time.Now().Unix()
	claims := object{"iss": issuer, "sub": subject, "aud": []string{audience}, "exp": now + 86400, "nbf": now - 60, "iat": now - 60}
	rs, es := object{"alg": "RS256", "kid": keysOfFsn1.kid}, object{"alg": "ES256", "kid": keysOfFsn1.kid + "-ec"}
	good := jwt(rs, claims, keysOfFsn1.rs256)
	parts := strings.Split(good, ".")
	sign := func(more object) string { return jwt(rs, claims.with(more), keysOfFsn1.rs256) }
	add("account, RS256", cluster1, bearer(good))
	add("account, ES256", cluster1, bearer(jwt(es, claims, keysOfFsn1.es256)))
	add("account, no kid, two entries fit", nil, bearer(jwt(object{"alg": "RS256"}, claims, keysOfFsn1.rs256)))
	add("account, no kid, one entry fits", cluster3, bearer(jwt(object{"alg": "RS256"}, claims.with(object{"sub": subjectOfFsn2}), keysOfFsn1.rs256)))
	add("account of the other cluster", cluster2, bearer(jwt(object{"alg": "RS256", "kid": keysOfHel1.kid}, claims, keysOfHel1.rs256)))
	browser(add("account as a cookie", cluster1, cookie(good)))
	add("account, one audience as text", cluster1, bearer(sign(object{"aud": audience})))
	add("account, more audiences", cluster1, bearer(sign(object{"aud": []string{"x", audience}})))
	add("account, expired", nil, bearer(sign(object{"exp": now - 1})))
	add("account, no end", nil, bearer(sign(object{"exp": nil})))
	add("account, not yet", nil, bearer(sign(object{"nbf": now + 3600})))
	add("account, issued later", nil, bearer(sign(object{"iat": now + 3600})))
	add("account, another audience", nil, bearer(sign(object{"aud": []string{"api"}})))
	add("account, no audience", nil, bearer(sign(object{"aud": nil})))
	add("account, another subject", nil, bearer(sign(object{"sub": "system:serviceaccount:default:default"})))
	add("account, subject as a prefix", nil, bearer(sign(object{"sub": subject + "x"})))
	add("account, another issuer", nil, bearer(sign(object{"iss": issuer + "/"})))
	add("account, alg none", nil, bearer(jwt(object{"alg": "none", "kid": keysOfFsn1.kid}, claims, unsigned)))
	add("account, alg HS256", nil, bearer(jwt(object{"alg": "HS256", "kid": keysOfFsn1.kid}, claims, keysOfFsn1.hs256)))
	add("account, no signature", nil, bearer(parts[0]+"."+parts[1]+"."))
	add("account, claims changed", nil, bearer(parts[0]+"."+base64url([]byte(asJSON(claims.with(object{"exp": now + 999999}))))+"."+parts[2]))
	add("account, signature changed", nil, bearer(parts[0]+"."+parts[1]+"."+base64url(keysOfFsn1.rs256([]byte("x")))))
	add("account, key of the other cluster", nil, bearer(jwt(rs, claims, keysOfHel1.rs256)))
	add("account, a kid that is not known", nil, bearer(jwt(object{"alg": "RS256", "kid": "x"}, claims, keysOfFsn1.rs256)))
	add("account, key in the header", nil, bearer(jwt(rs.with(object{"jwk": object{"kty": "RSA", "n": base64url(keysOfHel1.rsa.N.Bytes()), "e": "AQAB"}}), claims, keysOfHel1.rs256)))
	add("account, crit", nil, bearer(jwt(rs.with(object{"crit": []string{"x"}, "x": 1}), claims, keysOfFsn1.rs256)))
	add("account, four parts", nil, bearer(good+".x"))
	return all
}

// tokensFile returns the tokens file. change may widen an entry.
func tokensFile(proxyPeer string, change func(name string, entry object)) string {
	entry := func(p *principal, more object) object {
		e := object{"name": p.name, "scopes": p.scopes, "flows": p.flows}.with(more)
		if p.regions != nil {
			e["regions"] = p.regions
		}
		if change != nil {
			change(p.name, e)
		}
		return e
	}
	var list []object
	for _, p := range principals {
		list = append(list, entry(p, object{"sha256": hashOf(tokens[p])}))
	}
	account := func(p *principal, subject, file string) object {
		return entry(p, object{"issuer": issuer, "audience": audience, "subject": subject, "jwksFile": file})
	}
	trust := []object{account(cluster1, subject, "fsn1.json"), account(cluster2, subject, "hel1.json"), account(cluster3, subjectOfFsn2, "fsn1.json")}
	return asJSON(object{"tokens": list, "trust": trust, "proxy": entry(user, object{"name": nil, "peers": []string{proxyPeer}, "header": proxyHeader})})
}
