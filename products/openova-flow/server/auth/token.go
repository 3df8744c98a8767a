package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
)

// tokenPrefix makes tokens of this server easy to find where they have leaked to.
const tokenPrefix = "ofl_"

// NewToken makes a token of 256 random bits. What goes into the file is its Hash.
func NewToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// Hash returns what the file has in place of a token: its SHA-256 in hex digits.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Entry is what the file says of a token.
type Entry struct {
	Name    string   `json:"name"`
	SHA256  string   `json:"sha256"` // its Hash
	Scopes  []string `json:"scopes"`
	Flows   []string `json:"flows"`
	Regions []string `json:"regions,omitempty"`
}

// Validate returns nil when a file may have the entry, else what is wrong with it.
func (e Entry) Validate() error {
	data, err := json.Marshal(map[string]any{"tokens": []Entry{e}})
	if err == nil {
		_, err = parseConfig(data)
	}
	return err
}
