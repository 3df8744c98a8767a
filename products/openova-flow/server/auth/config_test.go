package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
)

func validConfig() object {
	return object{"tokens": []object{tokenOf("a", "1"), tokenOf("b", "2")}, "trust": []object{trustOf("fsn1")}, "proxy": proxyOf("10.0.0.0/8")}
}

func proxyOf(peers ...string) object {
	return object{"peers": peers, "header": "X-Forwarded-User", "scopes": []string{"read"}, "flows": []string{"*"}}
}

// subject returns the text of an error up to the first colon.
func subject(err error) string {
	text, _, _ := strings.Cut(err.Error(), ": ")
	return text
}

func TestParseConfig(t *testing.T) {
	tokens := func(more object) object { return object{"tokens": []object{tokenOf("a", "1").with(more)}} }
	trust := func(more object) object { return object{"trust": []object{trustOf("fsn1").with(more)}} }
	proxy := func(more object) object { return object{"proxy": proxyOf("10.0.0.7").with(more)} }
	byURL := func(url string) object { return trust(object{"jwksFile": nil, "jwksURL": url}) }
	tests := []struct {
		name string
		file any
		want string // what the error is about, its text up to the first colon: a field or, for the whole file, the cause; empty: no error
	}{
		{"all", validConfig(), ""},
		{"tokens alone", tokens(nil), ""},
		{"trust alone", trust(nil), ""},
		{"proxy alone", proxy(nil), ""},
		{"a list", []int{}, "must be a JSON object"},
		{"nothing in it", object{}, "no caller would be allowed"},
		{"empty lists", object{"tokens": []int{}, "trust": []int{}}, "no caller would be allowed"},
		{"an object of tokens", object{"tokens": object{}}, "tokens"},
		{"an unknown key", object{"token": []int{}}, "token"},
		{"several unknown keys", object{"z": 1, "y": 1, "x": 1, "w": 1}, "w"},
		{"a long unknown key", object{strings.Repeat("k", 24): 1}, "unknown key, which may be a token and is not shown; allowed"},
		{"an unknown key of an entry", tokens(object{"scope": "read"}), "tokens[0].scope"},
		{"a token as a key", object{NewToken(): object{}}, "unknown key, which may be a token and is not shown; allowed"},
		{"a token as a key of an entry", tokens(object{NewToken(): "read"}), "tokens[0]"},
		{"a token as a key twice", `{"ofl_x":[],"ofl_x":[]}`, "a key, which may be a token and is not shown, appears twice in one object"},
		{"a key in another case", tokens(object{"Regions": []string{"x"}}), "tokens[0].Regions"},
		{"no name", tokens(object{"name": nil}), "tokens[0].name"},
		{"a name with a space", tokens(object{"name": "a b"}), "tokens[0].name"},
		{"a name like a user's", tokens(object{"name": "user:a"}), "tokens[0].name"},
		{"a token as the name", tokens(object{"name": NewToken()}), "tokens[0].name"},
		{"a name twice", object{"tokens": []object{tokenOf("a", "1"), tokenOf("a", "2")}}, "tokens[1].name"},
		{"a name in both lists", object{"tokens": []object{tokenOf("cluster-fsn1", "1")}, "trust": []object{trustOf("fsn1")}}, "trust[0].name"},
		{"a token twice", object{"tokens": []object{tokenOf("a", "1"), tokenOf("b", "1")}}, "tokens[1].sha256"},
		{"no sha256", tokens(object{"sha256": nil}), "tokens[0] (a).sha256"},
		{"a short sha256", tokens(object{"sha256": "abcd"}), "tokens[0] (a).sha256"},
		{"the token as its sha256", tokens(object{"sha256": NewToken()}), "tokens[0] (a).sha256"},
		{"no scopes", tokens(object{"scopes": nil}), "tokens[0] (a).scopes"},
		{"empty scopes", tokens(object{"scopes": []string{}}), "tokens[0] (a).scopes"},
		{"an unknown scope", tokens(object{"scopes": []string{"read", "write"}}), "tokens[0] (a).scopes[1]"},
		{"a scope twice", tokens(object{"scopes": []string{"read", "read"}}), "tokens[0] (a).scopes[1]"},
		{"no flows", tokens(object{"flows": nil}), "tokens[0] (a).flows"},
		{"flows as a string", tokens(object{"flows": "*"}), "tokens[0] (a).flows"},
		{"a flow with a slash", tokens(object{"flows": []string{"a/*"}}), "tokens[0] (a).flows[0]"},
		{"an empty flow", tokens(object{"flows": []string{""}}), "tokens[0] (a).flows[0]"},
		{"regions", tokens(object{"scopes": []string{"ingest"}, "regions": []string{"fsn1", "a", "0-1"}}), ""},
		{"empty regions", tokens(object{"scopes": []string{"ingest"}, "regions": []string{}}), "tokens[0] (a).regions"},
		{"regions null", `{"tokens":[{"name":"a","sha256":"` + Hash("1") + `","scopes":["ingest"],"flows":["*"],"regions":null}]}`, "tokens[0] (a).regions"},
		{"regions without ingest", tokens(object{"regions": []string{"fsn1"}}), "tokens[0] (a).regions"},
		{"regions of an admin", tokens(object{"scopes": []string{"admin"}, "regions": []string{"fsn1"}}), ""},
		{"a region with a slash", tokens(object{"scopes": []string{"ingest"}, "regions": []string{"a/b"}}), "tokens[0] (a).regions[0]"},
		{"a region in upper case", tokens(object{"scopes": []string{"ingest"}, "regions": []string{"FSN1"}}), "tokens[0] (a).regions[0]"},
		{"a region that begins with -", tokens(object{"scopes": []string{"ingest"}, "regions": []string{"-a"}}), "tokens[0] (a).regions[0]"},
		{"a region that ends with -", tokens(object{"scopes": []string{"ingest"}, "regions": []string{"a-"}}), "tokens[0] (a).regions[0]"},
		{"no issuer", trust(object{"issuer": nil}), "trust[0] (cluster-fsn1).issuer"},
		{"an empty audience", trust(object{"audience": ""}), "trust[0] (cluster-fsn1).audience"},
		{"no subject", trust(object{"subject": nil}), "trust[0] (cluster-fsn1).subject"},
		{"no keys", trust(object{"jwksFile": nil}), "trust[0] (cluster-fsn1)"},
		{"keys from both", trust(object{"jwksURL": "https://x/"}), "trust[0] (cluster-fsn1)"},
		{"https", byURL("https://x:6443/openid/v1/jwks"), ""},
		{"http to loopback", byURL("http://127.0.0.1:8001/openid/v1/jwks"), ""},
		{"http to localhost", byURL("http://localhost:8001/"), ""},
		{"http elsewhere", byURL("http://example.com/"), "trust[0] (cluster-fsn1).jwksURL"},
		{"http to a name that begins alike", byURL("http://127.0.0.1.example.com/"), "trust[0] (cluster-fsn1).jwksURL"},
		{"a user in the URL", byURL("https://a:b@x/"), "trust[0] (cluster-fsn1).jwksURL"},
		{"file URL", byURL("file:///etc/passwd"), "trust[0] (cluster-fsn1).jwksURL"},
		{"no URL", byURL("keys.json"), "trust[0] (cluster-fsn1).jwksURL"},
		{"a CA file for a file", trust(object{"jwksCAFile": "ca.pem"}), "trust[0] (cluster-fsn1).jwksCAFile"},
		{"one trust twice", object{"trust": []object{trustOf("fsn1"), trustOf("fsn1").with(object{"name": "b"})}}, "trust[1]"},
		{"proxy addresses", object{"proxy": proxyOf("10.0.0.7", "fd00::/8", "192.168.0.0/16")}, ""},
		{"no peers", proxy(object{"peers": nil}), "proxy.peers"},
		{"every peer", proxy(object{"peers": []string{"0.0.0.0/0"}}), "proxy.peers[0]"},
		{"an unmasked peer", proxy(object{"peers": []string{"10.1.2.3/8"}}), "proxy.peers[0]"},
		{"a mapped prefix as a peer", proxy(object{"peers": []string{"::ffff:10.0.0.0/104"}}), "proxy.peers[0]"},
		{"a name as a peer", proxy(object{"peers": []string{"proxy"}}), "proxy.peers[0]"},
		{"no header", proxy(object{"header": nil}), "proxy.header"},
		{"the header that tokens are in", proxy(object{"header": "authorization"}), "proxy.header"},
		{"regions of a proxy", proxy(object{"regions": []string{"fsn1"}}), "proxy.regions"},
		{"no JSON", "{\n\"tokens\": [\n}", "not JSON, see line 3"},
		{"a key twice", `{"tokens":[],"tokens":[]}`, `the key "tokens" appears twice in one object`},
		{"more after it", `{} {}`, "not JSON, see line 1"},
		{"broken UTF-8", "{\"\xff\":1}", "not valid UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, ok := tt.file.(string)
			if !ok {
				text = asJSON(t, tt.file)
			}
			_, err := parseConfig([]byte(text))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("rejected: %v", err)
			case tt.want != "" && err == nil:
				t.Errorf("accepted, want an error about %q", tt.want)
			case tt.want != "" && subject(err) != tt.want:
				t.Errorf("error %q, want one about %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), tokenPrefix):
				t.Errorf("the error %q contains a token", err)
			}
		})
	}
}

func TestLoad_ErrorsNameTheCause(t *testing.T) {
	p := newTokensDir(t)
	// fails checks that Load fails with a cause, nil for one of this package, and names the tokens file and more.
	fails := func(cause error, more ...string) {
		t.Helper()
		_, err := Load(p.path("tokens.json"), nil)
		if err == nil || cause != nil && !errors.Is(err, cause) {
			t.Fatalf("error %v, want %v", err, cause)
		}
		for _, name := range append(more, p.path("tokens.json")) {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("error %q does not name %s", err, name)
			}
		}
	}
	fails(fs.ErrNotExist)
	p.file(object{})
	fails(nil, "tokens", "trust", "proxy")
	p.file(object{"trust": []object{trustOf("fsn1")}})
	fails(fs.ErrNotExist, "jwksFile", "cluster-fsn1", p.path("fsn1.json"))
	p.put("fsn1.json", "[]")
	fails(nil, "jwksFile", "cluster-fsn1", p.path("fsn1.json"))
	p.put("tokens.json", strings.Repeat(" ", maxFile+1))
	fails(nil, fmt.Sprint(maxFile))
	must(t, os.Remove(p.path("tokens.json")))
	must(t, os.Mkdir(p.path("tokens.json"), 0o755))
	fails(syscall.EISDIR)
}
