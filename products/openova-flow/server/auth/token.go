package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
)

// tokenPrefix makes leaked tokens of this server easy to find.
const tokenPrefix = "ofl_"

// NewToken returns a random token of 256 bits. The tokens file has its Hash.
func NewToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// Hash returns the SHA-256 of a token in hexadecimal digits, as in the tokens file.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Entry is a token's entry in the tokens file.
type Entry struct {
	Name    string   `json:"name"`
	SHA256  string   `json:"sha256"` // its Hash
	Scopes  []string `json:"scopes"`
	Flows   []string `json:"flows"`
	Regions []string `json:"regions,omitempty"`
}

// Validate returns nil if the entry is valid in a tokens file, otherwise an error.
func (e Entry) Validate() error {
	data, err := json.Marshal(map[string]any{"tokens": []Entry{e}})
	if err == nil {
		_, err = parseConfig(data)
	}
	return err
}
