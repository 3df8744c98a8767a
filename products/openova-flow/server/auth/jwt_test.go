package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestToken_BelongsToItsClusterAlone(t *testing.T) {
	a := twoClusters(t)
	for name, c := range map[string]*cluster{"fsn1": fsn1(), "hel1": hel1()} {
		g := accepted(t, a, c.token(t, goodClaims()), "cluster-"+name)
		if !g.OwnsNode(name+"/x") || g.OwnsNode("other/x") {
			t.Errorf("the token of %s is for the regions %v", name, g.Regions())
		}
		accepted(t, a, signed(t, object{"alg": "ES256", "kid": c.kid + "-ec"}, goodClaims(), c.es256), "cluster-"+name)
		denied(t, a, signed(t, object{"alg": "RS256"}, goodClaims(), c.rs256), Key) // without a kid, keys of both clusters could have signed it
	}
	// The kid selects the key of hel1, which did not sign the token.
	denied(t, a, signed(t, object{"alg": "RS256", "kid": "hel1-key"}, goodClaims(), fsn1().rs256), Signature)
}

func TestToken_Accepted(t *testing.T) {
	a := twoClusters(t)
	now := time.Now().Unix()
	for name, claims := range map[string]object{
		"audience as a string":         {"aud": "openova-flow"},
		"audience among others":        {"aud": []string{"x", "openova-flow"}},
		"no iat":                       {"iat": nil},
		"no nbf":                       {"nbf": nil},
		"issued by a clock 30 s ahead": {"nbf": now + 30, "iat": now + 30},
		"expiry with a fraction":       {"exp": float64(now) + 100.5},
		"an unknown claim":             {"kubernetes.io": object{"namespace": "flux-system"}},
	} {
		t.Run(name, func(t *testing.T) { accepted(t, a, fsn1().token(t, goodClaims().with(claims)), "cluster-fsn1") })
	}
	t.Run("typ is ignored", func(t *testing.T) {
		accepted(t, a, signed(t, fsn1().header().with(object{"typ": "anything"}), goodClaims(), fsn1().rs256), "cluster-fsn1")
	})
}

func TestToken_DeniedClaims(t *testing.T) {
	a := twoClusters(t)
	now := time.Now().Unix()
	tests := map[string]struct {
		claims object
		want   Reason
	}{
		"another issuer":                 {object{"iss": "https://elsewhere"}, Issuer},
		"an issuer with a final slash":   {object{"iss": testIssuer + "/"}, Issuer},
		"no issuer":                      {object{"iss": nil}, Malformed},
		"another audience":               {object{"aud": []string{"https://kubernetes.default.svc"}}, Audience},
		"no audience":                    {object{"aud": nil}, Malformed},
		"an empty list of audiences":     {object{"aud": []string{}}, Audience},
		"audiences that are no string":   {object{"aud": []any{"openova-flow", 1}}, Malformed},
		"another subject":                {object{"sub": "system:serviceaccount:default:default"}, Subject},
		"a subject that begins alike":    {object{"sub": testSubject + "x"}, Subject},
		"a subject of the same length":   {object{"sub": strings.ToUpper(testSubject)}, Subject},
		"an issuer of the same length":   {object{"iss": strings.ToUpper(testIssuer)}, Issuer},
		"an audience of the same length": {object{"aud": []string{"OPENOVA-FLOW"}}, Audience},
		"no subject":                     {object{"sub": nil}, Malformed},
		"expired a second ago":           {object{"exp": now - 1}, Expired},
		"expired long ago":               {object{"exp": 1}, Expired},
		"no expiry":                      {object{"exp": nil}, Malformed},
		"an expiry that is a string":     {object{"exp": "9999999999"}, Malformed},
		"an expiry that is a list":       {object{"exp": []any{}}, Malformed},
		"an expiry beyond all bounds":    {object{"exp": 1e300}, Malformed},
		"a negative expiry":              {object{"exp": -5}, Malformed},
		"not valid for two minutes":      {object{"nbf": now + 120}, NotYet},
		"issued in two minutes":          {object{"iat": now + 120}, NotYet},
		"a not-before that is a word":    {object{"nbf": "soon"}, Malformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { denied(t, a, fsn1().token(t, goodClaims().with(tt.claims)), tt.want) })
	}
}

// TestToken_EndsAtItsExpiry checks a cached token and a new one at their expiry.
func TestToken_EndsAtItsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := twoClusters(t)
		claims := goodClaims().with(object{"exp": time.Now().Unix() + 10})
		known, unknown := fsn1().token(t, claims), hel1().token(t, claims)
		time.Sleep(10*time.Second - time.Nanosecond)
		accepted(t, a, known, "cluster-fsn1")
		time.Sleep(time.Nanosecond)
		denied(t, a, known, Expired)
		denied(t, a, unknown, Expired)
	})
}

// TestToken_Forgeries tries attacks that have worked on other verifiers.
func TestToken_Forgeries(t *testing.T) {
	a := twoClusters(t)
	c, claims := fsn1(), goodClaims()
	good := c.token(t, claims)
	parts := strings.Split(good, ".")
	der, err := x509.MarshalPKIXPublicKey(&c.rsa.PublicKey)
	must(t, err)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	attacker := newCluster("attacker")
	point, err := c.ec.PublicKey.Bytes()
	must(t, err)
	header := func(more object) object { return c.header().with(more) }
	ecHeader := object{"alg": "ES256", "kid": c.kid + "-ec"}
	tests := []struct {
		name, token string
		want        Reason
	}{
		{"alg none", signed(t, header(object{"alg": "none"}), claims, unsigned), Algorithm},
		{"alg None", signed(t, header(object{"alg": "None"}), claims, unsigned), Algorithm},
		{"alg empty", signed(t, header(object{"alg": ""}), claims, unsigned), Algorithm},
		{"alg missing", signed(t, header(object{"alg": nil}), claims, c.rs256), Algorithm},
		{"alg in another case", signed(t, header(object{"alg": "rs256"}), claims, c.rs256), Algorithm},
		{"alg that is a list", signed(t, header(object{"alg": []string{"RS256"}}), claims, c.rs256), Algorithm},
		{"alg none with a good signature", signed(t, header(object{"alg": "none"}), claims, c.rs256), Algorithm},
		{"HS256 with the public key as PEM", signed(t, header(object{"alg": "HS256"}), claims, hs256(publicPEM)), Algorithm},
		{"HS256 with the public key as DER", signed(t, header(object{"alg": "HS256"}), claims, hs256(der)), Algorithm},
		{"HS256 with the modulus", signed(t, header(object{"alg": "HS256"}), claims, hs256(c.rsa.N.Bytes())), Algorithm},
		{"HS256 that calls itself RS256", signed(t, c.header(), claims, hs256(publicPEM)), Signature},
		{"HS256 that calls itself ES256", signed(t, ecHeader, claims, hs256(point)), Signature},
		{"RS512 with the right key", signed(t, header(object{"alg": "RS512"}), claims, c.rs256), Algorithm},
		{"PS256", signed(t, header(object{"alg": "PS256"}), claims, c.rs256), Algorithm},
		{"RS256 by the kid of an EC key", signed(t, object{"alg": "RS256", "kid": c.kid + "-ec"}, claims, c.rs256), Signature},
		{"ES256 by the kid of an RSA key", signed(t, object{"alg": "ES256", "kid": c.kid}, claims, c.es256), Signature},
		{"RS256's signature that calls itself ES256", signed(t, object{"alg": "ES256", "kid": c.kid}, claims, c.rs256), Signature},
		{"ES256's signature that calls itself RS256", signed(t, object{"alg": "RS256", "kid": c.kid + "-ec"}, claims, c.es256), Signature},
		{"no signature", parts[0] + "." + parts[1] + ".", Signature},
		{"ES256 of zeros", signed(t, ecHeader, claims, func([]byte) []byte { return make([]byte, 64) }), Signature},
		{"ES256 of the order of the curve", signed(t, ecHeader, claims, func([]byte) []byte {
			n := elliptic.P256().Params().N.Bytes()
			return append(n, n...)
		}), Signature},
		{"ES256 in ASN.1", signed(t, ecHeader, claims, func(input []byte) []byte {
			sum := sha256.Sum256(input)
			sig, _ := ecdsa.SignASN1(rand.Reader, c.ec, sum[:])
			return sig
		}), Signature},
		{"ES256 with a byte more", signed(t, ecHeader, claims, func(input []byte) []byte { return append(c.es256(input), 0) }), Signature},
		{"ES256 with a zero before s", signed(t, ecHeader, claims, func(input []byte) []byte { return slices.Insert(c.es256(input), 32, 0) }), Signature},
		{"RS256 of another modulus' length", signed(t, c.header(), claims, func([]byte) []byte { return make([]byte, 128) }), Signature},
		{"RS256 of zeros", signed(t, c.header(), claims, func([]byte) []byte { return make([]byte, 256) }), Signature},
		{"unknown kid", signed(t, header(object{"kid": "another"}), claims, attacker.rs256), Key},
		{"unknown kid with the right key", signed(t, header(object{"kid": "another"}), claims, c.rs256), Key},
		{"empty kid", signed(t, header(object{"kid": ""}), claims, c.rs256), Key},
		{"kid that is a path", signed(t, header(object{"kid": "../../dev/null"}), claims, hs256(nil)), Key},
		{"kid that is a number", signed(t, header(object{"kid": 7}), claims, c.rs256), Malformed},
		{"kid null", signedRaw(`{"alg":"RS256","kid":null}`, claims, t, c), Malformed},
		{"a known kid and another key", signed(t, c.header(), claims, attacker.rs256), Signature},
		{"no kid where two entries fit", signed(t, object{"alg": "RS256"}, claims, attacker.rs256), Key},
		{"its own key in the header", signed(t, object{"alg": "RS256", "kid": "attacker", "jwk": attacker.rsaJWK()}, claims, attacker.rs256), Key},
		{"its own key in the header, known kid", signed(t, header(object{"jwk": attacker.rsaJWK()}), claims, attacker.rs256), Signature},
		{"the other cluster's key by this one's kid", signed(t, c.header(), claims, hel1().rs256), Signature},
		{"crit", signed(t, header(object{"crit": []string{"b64"}, "b64": false}), claims, c.rs256), Malformed},
		{"crit empty", signed(t, header(object{"crit": []string{}}), claims, c.rs256), Malformed},
		{"alg twice", signedRaw(`{"alg":"none","alg":"RS256","kid":"fsn1-key"}`, claims, t, c), Malformed},
		{"header that is a list", signed(t, []string{"RS256"}, claims, c.rs256), Malformed},
		{"claims that are a string", signed(t, c.header(), "claims", c.rs256), Malformed},
		{"other claims under a good signature", parts[0] + "." + b64([]byte(asJSON(t, claims.with(object{"exp": time.Now().Unix() + 99999})))) + "." + parts[2], Signature},
		{"another header over a good signature", b64([]byte(`{"alg":"RS256","kid":"fsn1-key","x":1}`)) + "." + parts[1] + "." + parts[2], Signature},
		{"padding", good + "==", Malformed},
		{"a line break in the signature", good[:len(good)-4] + "\n" + good[len(good)-4:], Malformed},
		{"standard base64", parts[0] + "." + parts[1] + "." + base64.RawStdEncoding.EncodeToString([]byte{0xff, 0xff, 0xff}), Malformed},
		{"bits after the end", good[:len(good)-1] + nextInAlphabet(good[len(good)-1]), Malformed},
		{"an empty header", "." + parts[1] + "." + parts[2], Malformed},
		{"no claims", parts[0] + ".." + parts[2], Malformed},
		{"two parts", parts[0] + "." + parts[1], Unknown},
		{"four parts", good + "." + parts[2], Unknown},
		{"a JWE", good + ".a.b", Unknown},
		{"longer than 16 KiB", signed(t, c.header(), claims.with(object{"pad": strings.Repeat("x", maxToken)}), c.rs256), Malformed},
		{"nested deep", signedRaw(`{"alg":"RS256","x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`, claims, t, c), Malformed},
		{"nothing", "", Unknown},
		{"dots", "..", Malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { denied(t, a, tt.token, tt.want) })
	}
	accepted(t, a, good, "cluster-fsn1")
}

// signedRaw returns a token with this header.
func signedRaw(header string, claims object, t testing.TB, c *cluster) string {
	input := b64([]byte(header)) + "." + b64([]byte(asJSON(t, claims)))
	return input + "." + b64(c.rs256([]byte(input)))
}

// nextInAlphabet returns the base64url digit after c. The last digit of 256 bytes has four unused bits.
func nextInAlphabet(c byte) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(digits[(strings.IndexByte(digits, c)+1)%len(digits)])
}

func TestToken_KeysAreNotPooled(t *testing.T) {
	p := newTokensDir(t)
	p.put("fsn1.json", fsn1().jwks(t))
	p.put("hel1.json", hel1().jwks(t))
	other := trustOf("hel1")
	other["audience"] = "another"
	p.file(object{"trust": []object{trustOf("fsn1"), other}})
	a := p.load()
	// Both clusters are trusted, and the token has the audience of fsn1's entry, but the key of hel1.
	denied(t, a, hel1().token(t, goodClaims()), Key)
	denied(t, a, signed(t, object{"alg": "RS256"}, goodClaims(), hel1().rs256), Signature)
	accepted(t, a, hel1().token(t, goodClaims().with(object{"aud": "another"})), "cluster-hel1")
}

// trusting returns an Authority that trusts n clusters with the same issuer, each with its own key set.
func trusting(t testing.TB, n int, keys func(i int) []object) *Authority {
	p := newTokensDir(t)
	var trust []object
	for i := range n {
		region := fmt.Sprint("r", i)
		p.put(region+".json", keySetOf(t, append([]object{}, keys(i)...)...))
		trust = append(trust, trustOf(region))
	}
	p.file(object{"trust": trust})
	return p.load()
}

func TestToken_WithoutKidIsVerifiedOnlyByASingleFittingKey(t *testing.T) {
	second := newCluster("second")
	noKID := object{"alg": "RS256"}
	token := signed(t, noKID, goodClaims(), fsn1().rs256)
	one := func(keys ...object) *Authority { return trusting(t, 1, func(int) []object { return keys }) }
	accepted(t, one(fsn1().rsaJWK(), fsn1().ecJWK(t)), token, "cluster-r0") // the other key has another algorithm
	denied(t, one(second.rsaJWK(), second.ecJWK(t)), token, Signature)
	denied(t, one(fsn1().rsaJWK(), second.rsaJWK()), token, Key)
	denied(t, one(), token, Key)
	denied(t, trusting(t, 2, func(i int) []object { return [][]object{{fsn1().rsaJWK()}, {hel1().ecJWK(t)}}[i] }), token, Key)
}

// TestToken_KidOfNoKey tests RFC 7517, section 4.5: a key without a kid may have signed a token with any kid.
func TestToken_KidOfNoKey(t *testing.T) {
	unnamed := fsn1().rsaJWK().with(object{"kid": nil})
	a := trusting(t, 2, func(i int) []object { return [][]object{{unnamed}, {hel1().rsaJWK()}}[i] })
	for _, kid := range []string{"anything", "", hel1().kid} {
		accepted(t, a, signed(t, object{"alg": "RS256", "kid": kid}, goodClaims(), fsn1().rs256), "cluster-r0")
	}
	accepted(t, a, hel1().token(t, goodClaims()), "cluster-r1")
	denied(t, a, signed(t, object{"alg": "RS256", "kid": "anything"}, goodClaims(), hel1().rs256), Key)
	denied(t, a, signed(t, object{"alg": "RS256", "kid": hel1().kid}, goodClaims(), newCluster("x").rs256), Signature)
}

func TestToken_VerificationsOfOneRequestAreBounded(t *testing.T) {
	unnamed := hel1().rsaJWK().with(object{"kid": nil})
	tried := func(a *Authority, token string) (int, error) {
		c, denial := parseJWT(token)
		if denial != nil {
			t.Fatal(denial)
		}
		_, _, denial = a.policy.Load().verifyClaims(c, time.Now(), func(*keyring) {})
		if denial == nil {
			return c.tried, nil
		}
		return c.tried, denial
	}
	a := trusting(t, 50, func(int) []object { return []object{unnamed, hel1().rsaJWK().with(object{"kid": "all"})} })
	for kid, want := range map[string]Reason{"all": Key, "none": Key} {
		n, err := tried(a, signed(t, object{"alg": "RS256", "kid": kid}, goodClaims(), fsn1().rs256))
		if n != maxVerifications || reason(t, err) != want {
			t.Errorf("kid %s: %d keys were tried, result %v", kid, n, err)
		}
	}
	if n, err := tried(a, signed(t, object{"alg": "RS256"}, goodClaims(), fsn1().rs256)); n != 0 || reason(t, err) != Key {
		t.Errorf("without a kid %d keys were tried, result %v", n, err)
	}
	last := trusting(t, 50, func(i int) []object {
		if i == 49 {
			return []object{fsn1().rsaJWK()}
		}
		return []object{unnamed}
	})
	if n, err := tried(last, fsn1().token(t, goodClaims())); n != 1 || err != nil { // the key that it names is tried before keys without a kid
		t.Errorf("%d keys were tried, result %v", n, err)
	}
}

func TestDenial_LogHasTheUnverifiedClaims(t *testing.T) {
	a := twoClusters(t)
	claims := goodClaims().with(object{"iss": "https://kubernetes.default.svc.cluster.local\x1b\u009b", "sub": strings.Repeat("s", 300), "aud": []string{"one", "two"}})
	_, err := checkToken(a, fsn1().token(t, claims))
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Warn("access denied", "denial", err)
	var line struct {
		Denial struct {
			Reason, Detail string
			Unverified     struct{ Iss, Aud, Sub, Kid string }
		} `json:"denial"`
	}
	must(t, json.Unmarshal(log.Bytes(), &line))
	got := line.Denial.Unverified
	if got.Iss != `https://kubernetes.default.svc.cluster.local\x1b\u009b` || got.Aud != "one two" || len(got.Sub) > 210 || !strings.HasPrefix(got.Sub, "sss") || got.Kid != "fsn1-key" {
		t.Errorf("%+v", got)
	}
	if r := line.Denial; r.Reason != string(Issuer) || r.Detail == "" {
		t.Errorf("%+v", r)
	}
	log.Reset()
	_, err = checkToken(a, "ofl_secret")
	if slog.New(slog.NewJSONHandler(&log, nil)).Warn("access denied", "denial", err); strings.Contains(log.String(), "unverified") || strings.Contains(log.String(), "secret") {
		t.Errorf("%s", log.String())
	}
}

func TestToken_TwoServiceAccountsOfOneCluster(t *testing.T) {
	p := newTokensDir(t)
	p.put("fsn1.json", fsn1().jwks(t))
	second := trustOf("fsn1").with(object{"name": "second", "subject": "system:serviceaccount:a:b"})
	p.file(object{"trust": []object{trustOf("fsn1"), second}})
	a := p.load()
	accepted(t, a, fsn1().token(t, goodClaims()), "cluster-fsn1")
	accepted(t, a, fsn1().token(t, goodClaims().with(object{"sub": "system:serviceaccount:a:b"})), "second")
}

func TestToken_ExpiredHasItsName(t *testing.T) {
	_, err := checkToken(twoClusters(t), hel1().token(t, goodClaims().with(object{"exp": time.Now().Unix() - 10})))
	if r, ok := err.(*Denial); !ok || r.Name != "cluster-hel1" {
		t.Errorf("%#v lacks the name cluster-hel1", err)
	}
}

func TestParseJWKS(t *testing.T) {
	c := fsn1()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	rsaKey, ecKey := c.rsaJWK(), c.ecJWK(t)
	zero := b64(make([]byte, 32))
	tests := map[string]struct {
		key  object
		want int
	}{
		"RSA":                     {rsaKey, 1},
		"EC":                      {ecKey, 1},
		"RSA without use and alg": {rsaKey.with(object{"use": nil, "alg": nil}), 1},
		"EC with alg":             {ecKey.with(object{"alg": "ES256"}), 1},
		"a key without kid":       {rsaKey.with(object{"kid": nil}), 1},
		"key_ops with verify":     {rsaKey.with(object{"key_ops": []string{"sign", "verify"}}), 1},
		"key_ops without verify":  {rsaKey.with(object{"key_ops": []string{"encrypt"}}), 0},
		"for encryption":          {rsaKey.with(object{"use": "enc"}), 0},
		"for an unknown use":      {rsaKey.with(object{"use": "tls"}), 0},
		"for a use of no string":  {rsaKey.with(object{"use": 1}), 0},
		"RSA for another alg":     {rsaKey.with(object{"alg": "RS512"}), 0},
		"RSA for ES256":           {rsaKey.with(object{"alg": "ES256"}), 0},
		"a symmetric key":         {object{"kty": "oct", "kid": "x", "k": b64([]byte("secret"))}, 0},
		"an Ed25519 key":          {object{"kty": "OKP", "crv": "Ed25519", "x": zero}, 0},
		"RSA of 1024 bits":        {rsaKey.with(object{"n": b64(weak.N.Bytes())}), 0},
		"RSA of 16384 bits":       {rsaKey.with(object{"n": b64(new(big.Int).SetBit(big.NewInt(1), 16383, 1).Bytes())}), 0},
		"RSA with exponent 1":     {rsaKey.with(object{"e": b64([]byte{1})}), 0},
		"RSA with an even one":    {rsaKey.with(object{"e": b64([]byte{1, 0, 0})}), 0},
		"RSA with a huge one":     {rsaKey.with(object{"e": b64([]byte{1, 0, 0, 0, 1})}), 0},
		"RSA without n":           {rsaKey.with(object{"n": nil}), 0},
		"RSA with padding":        {rsaKey.with(object{"e": "AQAB=="}), 0},
		"EC off the curve":        {ecKey.with(object{"y": ecKey["x"]}), 0},
		"EC at infinity":          {ecKey.with(object{"x": zero, "y": zero}), 0},
		"EC on another curve":     {ecKey.with(object{"crv": "P-384"}), 0},
		"EC with a short x":       {ecKey.with(object{"x": b64([]byte{1, 2})}), 0},
		"a kid that is a number":  {rsaKey.with(object{"kid": 1}), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := parseJWKS([]byte(keySetOf(t, tt.key)))
			must(t, err)
			if len(s.keys) != tt.want {
				t.Errorf("%d keys, want %d", len(s.keys), tt.want)
			}
		})
	}
	for _, bad := range []string{"", "[]", "{}", `{"keys":{}}`, `{"keys":[]}x`, `{"keys":[],"keys":[]}`, `{"keys":[` + strings.Repeat("{},", 100) + `{}]}`,
		`{"keys":[],"x":"` + strings.Repeat("x", maxKeySet) + `"}`} {
		if _, err := parseJWKS([]byte(bad)); err == nil {
			t.Errorf("%.40s is accepted as a key set", bad)
		}
	}
}
