package app

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

// TestGuard_OverwritesLoopback checks that only a server without access control and without Insecure rejects foreign hosts, whatever HTTP.Loopback was.
func TestGuard_OverwritesLoopback(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens.json")
	if err := os.WriteFile(file, []byte(`{"tokens":[{"name":"a","sha256":"`+auth.Hash("1")+`","scopes":["read"],"flows":["*"]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, before := range []bool{false, true} {
		for _, tt := range []struct {
			tokens   string
			insecure bool
			want     bool
		}{{"", false, true}, {"", true, false}, {file, false, false}} {
			c := Config{TokensFile: tt.tokens, Insecure: tt.insecure, Logger: slog.New(slog.DiscardHandler)}
			c.HTTP.Loopback = before
			if err := c.guard(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}); err != nil || c.HTTP.Loopback != tt.want {
				t.Errorf("tokens %q, insecure %t: Loopback is %t, %v", tt.tokens, tt.insecure, c.HTTP.Loopback, err)
			}
		}
	}
}
