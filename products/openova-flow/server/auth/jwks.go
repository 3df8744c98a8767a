package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"
)

const (
	maxKeySet = 1 << 20 // bytes
	maxKeys   = 100
	minRSA    = 2048 // bits
	maxRSA    = 8192 // bits; verification takes longer with more
)

// key is one public key of a trust entry: an *rsa.PublicKey or, on P-256, an *ecdsa.PublicKey.
type key struct {
	kid    string // empty if absent
	public crypto.PublicKey
}

// keySet has the keys of a trust entry. It is immutable.
type keySet struct {
	raw  string
	keys []key
}

// candidates returns the keys that may have signed a token: those with its kid, and then the keys without a kid. For a token without a kid, others
// has all keys with the token's algorithm.
func (s *keySet) candidates(c *claims) (named, others []key) {
	for _, k := range s.keys {
		switch {
		case c.hasKID && k.kid != "" && k.kid == c.kid:
			named = append(named, k)
		case c.hasKID && k.kid == "", !c.hasKID && c.fits(k):
			others = append(others, k)
		}
	}
	return named, others
}

// parseJWKS parses a JSON Web Key Set (RFC 7517). It omits invalid and weak keys, and those that are not for verifying RS256 or ES256.
func parseJWKS(data []byte) (*keySet, error) {
	if len(data) > maxKeySet {
		return nil, errors.New("a key set may have at most 1 MiB")
	}
	v, err := parseJSON(data)
	if err != nil {
		return nil, err
	}
	top, _ := v.(map[string]any)
	list, ok := top["keys"].([]any)
	if !ok {
		return nil, errors.New("a key set must be an object with a list of keys")
	}
	if len(list) > maxKeys {
		return nil, errors.New("a key set may have at most 100 keys")
	}
	s := &keySet{raw: string(data)}
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			if k, ok := parseKey(m); ok {
				s.keys = append(s.keys, k)
			}
		}
	}
	return s, nil
}

func parseKey(m map[string]any) (k key, ok bool) {
	kid, named := m["kid"]
	if k.kid, ok = kid.(string); named && !ok {
		return k, false
	}
	if use, present := m["use"]; present && use != "sig" {
		return k, false
	}
	if ops, present := m["key_ops"]; present {
		if list, _ := ops.([]any); !slices.Contains(list, any("verify")) {
			return k, false
		}
	}
	alg, present := m["alg"]
	switch m["kty"] {
	case "RSA":
		public := parseRSA(m)
		k.public, ok = public, public != nil && (!present || alg == rs256)
	case "EC":
		public := parseEC(m)
		k.public, ok = public, public != nil && (!present || alg == es256)
	default:
		ok = false
	}
	return k, ok
}

func parseRSA(m map[string]any) *rsa.PublicKey {
	n, e := member(m, "n"), member(m, "e")
	if len(n) > maxRSA/8 || len(e) > 4 {
		return nil
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e).Int64()
	if modulus.BitLen() < minRSA || modulus.Bit(0) == 0 || exponent < 3 || exponent > 1<<31-1 || exponent%2 == 0 {
		return nil
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent)}
}

func parseEC(m map[string]any) *ecdsa.PublicKey {
	x, y := member(m, "x"), member(m, "y")
	if m["crv"] != "P-256" || len(x) != 32 || len(y) != 32 {
		return nil
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil { // not a point on the curve
		return nil
	}
	return public
}

// member returns the bytes of a base64url field, none if it is absent or invalid.
func member(m map[string]any, name string) []byte {
	text, _ := m[name].(string)
	b, err := decodeBase64(text)
	if err != nil {
		return nil
	}
	return b
}
