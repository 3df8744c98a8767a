package auth

import (
	"os"
	"strings"
	"testing"
)

func validConfig() object {
	return object{"tokens": []object{tokenOf("a", "1"), tokenOf("b", "2")}, "trust": []object{trustOf("fsn1")}, "proxy": proxyOf("10.0.0.0/8")}
}

func proxyOf(peers ...string) object {
	return object{"peers": peers, "header": "X-Forwarded-User", "scopes": []string{"read"}, "flows": []string{"*"}}
}

func TestParseConfig(t *testing.T) {
	tokens := func(more object) object { return object{"tokens": []object{tokenOf("a", "1").with(more)}} }
	trust := func(more object) object { return object{"trust": []object{trustOf("fsn1").with(more)}} }
	proxy := func(more object) object { return object{"proxy": proxyOf("10.0.0.7").with(more)} }
	byURL := func(url string) object { return trust(object{"jwksFile": nil, "jwksURL": url}) }
	tests := []struct {
		name string
		file any
		want string // what the error says; empty: none
	}{
		{"all", validConfig(), ""},
		{"tokens alone", tokens(nil), ""},
		{"trust alone", trust(nil), ""},
		{"proxy alone", proxy(nil), ""},
		{"a list", []int{}, "the file: an object is needed"},
		{"nothing in it", object{}, "at least one entry of tokens or trust is needed, or proxy"},
		{"empty lists", object{"tokens": []int{}, "trust": []int{}}, "at least one entry"},
		{"tokens null", object{"tokens": object{}}, "tokens: a list is needed"},
		{"an unknown key", object{"token": []int{}}, "the file.token: there is no such key; allowed are tokens, trust, proxy"},
		{"an unknown key of an entry", tokens(object{"scope": "read"}), "tokens[0].scope: there is no such key"},
		{"a key in another case", tokens(object{"Regions": []string{"x"}}), "tokens[0].Regions: there is no such key"},
		{"no name", tokens(object{"name": nil}), "tokens[0].name: is missing"},
		{"a name with a space", tokens(object{"name": "a b"}), "tokens[0].name: 1 to 128 characters"},
		{"a name like a user's", tokens(object{"name": "user:a"}), "tokens[0].name: 1 to 128 characters"},
		{"a token as the name", tokens(object{"name": NewToken()}), "and no token"},
		{"a name twice", object{"tokens": []object{tokenOf("a", "1"), tokenOf("a", "2")}}, "tokens[1].name: a is the name of tokens[0] already"},
		{"a name in both lists", object{"tokens": []object{tokenOf("cluster-fsn1", "1")}, "trust": []object{trustOf("fsn1")}}, "trust[0].name: cluster-fsn1 is the name of tokens[0] already"},
		{"a token twice", object{"tokens": []object{tokenOf("a", "1"), tokenOf("b", "1")}}, "tokens[1].sha256: is that of tokens[0]"},
		{"no sha256", tokens(object{"sha256": nil}), "tokens[0] (a).sha256: is missing"},
		{"a short sha256", tokens(object{"sha256": "abcd"}), "tokens[0] (a).sha256: 64 hex digits are needed"},
		{"the token as its sha256", tokens(object{"sha256": NewToken()}), "tokens[0] (a).sha256: 64 hex digits are needed"},
		{"no scopes", tokens(object{"scopes": nil}), "tokens[0] (a).scopes: is missing; allowed are read, ingest, admin"},
		{"empty scopes", tokens(object{"scopes": []string{}}), "tokens[0] (a).scopes: a list of strings is needed, at least one"},
		{"an unknown scope", tokens(object{"scopes": []string{"read", "write"}}), "tokens[0] (a).scopes[1]: allowed are read, ingest, admin"},
		{"a scope twice", tokens(object{"scopes": []string{"read", "read"}}), "tokens[0] (a).scopes[1]: is there twice"},
		{"no flows", tokens(object{"flows": nil}), "tokens[0] (a).flows: is missing"},
		{"flows as a string", tokens(object{"flows": "*"}), "tokens[0] (a).flows: a list of strings is needed"},
		{"a flow with a slash", tokens(object{"flows": []string{"a/*"}}), "tokens[0] (a).flows[0]: 1 to 128 characters"},
		{"an empty flow", tokens(object{"flows": []string{""}}), "tokens[0] (a).flows[0]: a string is needed"},
		{"regions", tokens(object{"scopes": []string{"ingest"}, "regions": []string{"fsn1", "a", "0-1"}}), ""},
		{"empty regions", tokens(object{"scopes": []string{"ingest"}, "regions": []string{}}), "tokens[0] (a).regions: a list of strings is needed, at least one"},
		{"regions null", `{"tokens":[{"name":"a","sha256":"` + Hash("1") + `","scopes":["ingest"],"flows":["*"],"regions":null}]}`, "tokens[0] (a).regions: a list of strings"},
		{"regions without ingest", tokens(object{"regions": []string{"fsn1"}}), "tokens[0] (a).regions: binds what is written"},
		{"regions of an admin", tokens(object{"scopes": []string{"admin"}, "regions": []string{"fsn1"}}), ""},
		{"a region with a slash", tokens(object{"scopes": []string{"ingest"}, "regions": []string{"a/b"}}), "tokens[0] (a).regions[0]: lower-case"},
		{"a region in upper case", tokens(object{"scopes": []string{"ingest"}, "regions": []string{"FSN1"}}), "regions[0]: lower-case"},
		{"a region that begins with -", tokens(object{"scopes": []string{"ingest"}, "regions": []string{"-a"}}), "regions[0]: lower-case"},
		{"a region that ends with -", tokens(object{"scopes": []string{"ingest"}, "regions": []string{"a-"}}), "regions[0]: lower-case"},
		{"no issuer", trust(object{"issuer": nil}), "trust[0] (cluster-fsn1).issuer: is missing"},
		{"an empty audience", trust(object{"audience": ""}), "trust[0] (cluster-fsn1).audience: a string is needed"},
		{"no subject", trust(object{"subject": nil}), "trust[0] (cluster-fsn1).subject: is missing"},
		{"no keys", trust(object{"jwksFile": nil}), "either jwksFile or jwksURL is needed"},
		{"keys from both", trust(object{"jwksURL": "https://x/"}), "either jwksFile or jwksURL is needed"},
		{"https", byURL("https://x:6443/openid/v1/jwks"), ""},
		{"http to loopback", byURL("http://127.0.0.1:8001/openid/v1/jwks"), ""},
		{"http to localhost", byURL("http://localhost:8001/"), ""},
		{"http elsewhere", byURL("http://example.com/"), "trust[0] (cluster-fsn1).jwksURL: an https URL is needed"},
		{"http to a name that begins alike", byURL("http://127.0.0.1.example.com/"), "jwksURL: an https URL is needed"},
		{"a user in the URL", byURL("https://a:b@x/"), "jwksURL: an https URL is needed"},
		{"file URL", byURL("file:///etc/passwd"), "jwksURL: an https URL is needed"},
		{"no URL", byURL("keys.json"), "jwksURL: an https URL is needed"},
		{"a CA file for a file", trust(object{"jwksCAFile": "ca.pem"}), "jwksCAFile: is for a jwksURL with https"},
		{"one trust twice", object{"trust": []object{trustOf("fsn1"), trustOf("fsn1").with(object{"name": "b"})}}, "trust[1]: trusts the same tokens as trust[0]"},
		{"proxy addresses", object{"proxy": proxyOf("10.0.0.7", "fd00::/8", "192.168.0.0/16")}, ""},
		{"no peers", proxy(object{"peers": nil}), "proxy.peers: is missing"},
		{"every peer", proxy(object{"peers": []string{"0.0.0.0/0"}}), "proxy.peers[0]: would let everybody name any user"},
		{"an unmasked peer", proxy(object{"peers": []string{"10.1.2.3/8"}}), "proxy.peers[0]: is no prefix; the one around it is 10.0.0.0/8"},
		{"a mapped prefix as a peer", proxy(object{"peers": []string{"::ffff:10.0.0.0/104"}}), "proxy.peers[0]: an address is needed"},
		{"a name as a peer", proxy(object{"peers": []string{"proxy"}}), "proxy.peers[0]: an address is needed"},
		{"no header", proxy(object{"header": nil}), "proxy.header: is missing"},
		{"the header that tokens are in", proxy(object{"header": "authorization"}), "proxy.header: the name of a header is needed"},
		{"regions of a proxy", proxy(object{"regions": []string{"fsn1"}}), "proxy.regions: there is no such key"},
		{"no JSON", "{\n\"tokens\": [\n}", "not JSON, see line 3"},
		{"a key twice", `{"tokens":[],"tokens":[]}`, `the key "tokens" is there twice`},
		{"more after it", `{} {}`, "not JSON"},
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
				t.Errorf("refused: %v", err)
			case tt.want != "" && err == nil:
				t.Errorf("accepted, want an error with %q", tt.want)
			case tt.want != "" && !strings.Contains(err.Error(), tt.want):
				t.Errorf("error %q, want one with %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), tokenPrefix):
				t.Errorf("the error %q holds a token", err)
			}
		})
	}
}

func TestLoad_NamesWhatIsWrong(t *testing.T) {
	p := newTokensDir(t)
	loading := func(want string) {
		t.Helper()
		if _, err := Load(p.path("tokens.json"), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	loading("no such file")
	p.file(object{})
	loading(p.path("tokens.json") + ": nobody could call")
	p.file(object{"trust": []object{trustOf("fsn1")}})
	loading("the jwksFile of cluster-fsn1: open " + p.path("fsn1.json"))
	p.put("fsn1.json", "[]")
	loading("the jwksFile of cluster-fsn1: " + p.path("fsn1.json") + ": a key set is an object with a list of keys")
	p.put("tokens.json", strings.Repeat(" ", maxFile+1))
	loading("has more than")
	must(t, os.Remove(p.path("tokens.json")))
	must(t, os.Mkdir(p.path("tokens.json"), 0o755))
	loading("is a directory")
}
