package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"time"
)

const (
	maxToken = 16 << 10
	// clockSkew is how far an issuer's clock may be ahead. There is no tolerance for a clock that is behind: a token expires at its
	// time.
	clockSkew = 60 * time.Second
	// maxVerifications limits the keys that one check of a token tries, since callers without a valid credential can cause verifications.
	maxVerifications = 8
)

// The accepted signature algorithms. Any other in a header, such as none, or HS256 with the public key as its secret, is rejected
// before a key is used.
const (
	rs256 = "RS256"
	es256 = "ES256"
)

// claims is a parsed token. Do not trust it before verifies returns true.
type claims struct {
	algorithm, kid               string
	hasKID                       bool
	issuer, subject              string
	audience                     []string
	expires, notBefore, issuedAt time.Time // zero if absent; expires is always set

	digest    [sha256.Size]byte // of the signed part
	signature []byte
	tried     int // number of keys tried so far
}

func malformed(detail string) *Denial { return &Denial{Reason: Malformed, Detail: detail} }

// parseJWT parses a JSON Web Token in compact form (RFC 7515, RFC 7519).
func parseJWT(token string) (*claims, *Denial) {
	if len(token) > maxToken {
		return nil, malformed("the token is too long")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, malformed("the token does not have three parts")
	}
	var raw [3][]byte
	for i, part := range parts {
		b, err := decodeBase64(part)
		if err != nil || len(b) == 0 && i < 2 {
			return nil, malformed("the token is not base64url")
		}
		raw[i] = b
	}
	c := &claims{digest: sha256.Sum256([]byte(token[:len(parts[0])+1+len(parts[1])])), signature: raw[2]}
	if denial := c.header(raw[0]); denial != nil {
		return nil, denial
	}
	if denial := c.payload(raw[1]); denial != nil {
		return nil, denial
	}
	return c, nil
}

// decodeBase64 decodes base64url without padding. It rejects line breaks, which the standard decoder skips: a token must have
// only one spelling.
func decodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, base64.CorruptInputError(0)
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

func (c *claims) header(raw []byte) *Denial {
	v, err := parseJSON(raw)
	h, ok := v.(map[string]any)
	if err != nil || !ok {
		return malformed("the token's header is not a JSON object")
	}
	if _, ok := h["crit"]; ok {
		return malformed("the token's header has crit, which is not supported")
	}
	c.algorithm, _ = h["alg"].(string)
	if c.algorithm != rs256 && c.algorithm != es256 {
		return &Denial{Reason: Algorithm, Detail: "the token's algorithm is not RS256 or ES256"}
	}
	kid, present := h["kid"]
	if c.kid, ok = kid.(string); present && !ok {
		return malformed("the token's kid is not a string")
	}
	c.hasKID = present
	return nil
}

func (c *claims) payload(raw []byte) *Denial {
	v, err := parseJSON(raw)
	p, ok := v.(map[string]any)
	if err != nil || !ok {
		return malformed("the token's claims are not a JSON object")
	}
	if c.issuer, ok = p["iss"].(string); !ok {
		return malformed("the token has no iss")
	}
	if c.subject, ok = p["sub"].(string); !ok {
		return malformed("the token has no sub")
	}
	if c.audience, ok = audience(p["aud"]); !ok {
		return malformed("the token has no aud")
	}
	for _, t := range []struct {
		name string
		into *time.Time
	}{{"exp", &c.expires}, {"nbf", &c.notBefore}, {"iat", &c.issuedAt}} {
		v, present := p[t.name]
		if *t.into, ok = numericDate(v); present && !ok {
			return malformed("the token's " + t.name + " is not a time")
		}
	}
	if c.expires.IsZero() {
		return malformed("the token has no exp; tokens must expire")
	}
	return nil
}

func audience(v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case []any:
		list := make([]string, len(v))
		for i := range v {
			s, ok := v[i].(string)
			if !ok {
				return nil, false
			}
			list[i] = s
		}
		return list, true
	}
	return nil, false
}

// numericDate parses seconds since 1970, and drops a fraction.
func numericDate(v any) (time.Time, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(n.String(), 64)
	if err != nil || seconds < 1 || seconds > 1<<38 { // the year 10680, within the range of time.Time
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// checkTime returns a *Denial unless the token is valid at an instant.
func (c *claims) checkTime(now time.Time) *Denial {
	switch latest := now.Add(clockSkew); {
	case !now.Before(c.expires):
		return &Denial{Reason: Expired, Detail: "the token has expired"}
	case latest.Before(c.notBefore), latest.Before(c.issuedAt):
		return &Denial{Reason: NotYet, Detail: "the token is not valid yet"}
	}
	return nil
}

// fits reports whether a key has the token's algorithm.
func (c *claims) fits(k key) bool {
	switch k.public.(type) {
	case *rsa.PublicKey:
		return c.algorithm == rs256
	case *ecdsa.PublicKey:
		return c.algorithm == es256
	}
	return false
}

// verifies reports whether the key signed the token, with the algorithm of the key, which the token must also name.
func (c *claims) verifies(k key) bool {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return c.algorithm == rs256 && rsa.VerifyPKCS1v15(public, crypto.SHA256, c.digest[:], c.signature) == nil
	case *ecdsa.PublicKey:
		if c.algorithm != es256 || len(c.signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(c.signature[:32]), new(big.Int).SetBytes(c.signature[32:])
		return ecdsa.Verify(public, c.digest[:], r, s)
	}
	return false
}
