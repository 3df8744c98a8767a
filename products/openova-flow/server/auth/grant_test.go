package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/quick"
)

func TestPattern_Matches(t *testing.T) {
	for _, tt := range []struct {
		pattern, id string
		want        bool
	}{
		{"prod", "prod", true}, {"prod", "prod-1", false}, {"prod", "Prod", false},
		{"prod-*", "prod-", true}, {"prod-*", "prod-eu", true}, {"prod-*", "prod", false}, {"prod-*", "xprod-eu", false},
		{"*", "x", true}, {"*", "a.b:c_d-e", true}, {"*-eu", "prod-eu", true}, {"*-eu", "prod-eu1", false},
		{"a*b*c", "abc", true}, {"a*b*c", "axbxbxc", true}, {"a*b*c", "axc", false}, {"**", "x", true}, {"a**", "a", true},
		{"a.c", "abc", false}, {"*a*a*a*b", strings.Repeat("a", 128), false},
	} {
		if got := matches(tt.pattern, tt.id); got != tt.want {
			t.Errorf("matches(%q, %q) = %v", tt.pattern, tt.id, got)
		}
	}
}

// TestPattern_AgreesWithRegexp compares matches with package regexp, on short words of a and b.
func TestPattern_AgreesWithRegexp(t *testing.T) {
	word := func(n uint16, letters string) (s string) {
		for ; n > 0; n /= uint16(len(letters)) {
			s += letters[n%uint16(len(letters)) : n%uint16(len(letters))+1]
		}
		return s
	}
	agree := func(p, i uint16) bool {
		pattern, id := word(p, "ab*"), word(i, "ab")
		want := regexp.MustCompile("^" + strings.ReplaceAll(pattern, "*", ".*") + "$").MatchString(id)
		return matches(pattern, id) == want
	}
	if err := quick.Check(agree, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
}

func grantOf(t testing.TB, more object) *Grant {
	t.Helper()
	c, err := parseConfig([]byte(asJSON(t, object{"tokens": []object{tokenOf("caller", "1").with(more)}})))
	must(t, err)
	return &Grant{name: c.tokens[0].name, permissions: c.tokens[0].permissions, credential: Bearer("1")}
}

func TestGrant_Scopes(t *testing.T) {
	for _, tt := range []struct {
		scopes              []string
		read, ingest, admin bool
	}{
		{[]string{"read"}, true, false, false},
		{[]string{"ingest"}, false, true, false},
		{[]string{"read", "ingest"}, true, true, false},
		{[]string{"admin"}, true, true, true},
	} {
		g := grantOf(t, object{"scopes": tt.scopes, "flows": []string{"prod-*", "x"}})
		for _, id := range []string{"prod-1", "x"} {
			if g.CanRead(id) != tt.read || g.CanIngest(id) != tt.ingest || g.CanAdmin(id) != tt.admin {
				t.Errorf("%v may read %v, ingest %v, admin %v", tt.scopes, g.CanRead(id), g.CanIngest(id), g.CanAdmin(id))
			}
			if (g.CheckRead(id) == nil) != tt.read || (g.CheckWrite(id, nil) == nil) != tt.ingest {
				t.Errorf("%v: the Check methods disagree with the Can methods", tt.scopes)
			}
			if (g.CheckDelete(id) == nil) != tt.ingest {
				t.Errorf("%v: CheckDelete returned %v", tt.scopes, g.CheckDelete(id))
			}
		}
		if g.CanRead("y") || g.CanIngest("y") || g.CanAdmin("y") {
			t.Errorf("%v has a permission for a foreign flow", tt.scopes)
		}
	}
	g := grantOf(t, object{"flows": []string{"x"}})
	if got := reason(t, g.CheckRead("y")); got != Flow {
		t.Errorf("another flow is denied for %s", got)
	}
	if got := reason(t, g.CheckWrite("x", nil)); got != Scope {
		t.Errorf("another scope is denied for %s", got)
	}
}

func TestGrant_Readable(t *testing.T) {
	for _, tt := range []struct {
		scopes, flows []string
		want          string
	}{
		{[]string{"read"}, []string{"b", "a-*"}, "a-* b"},
		{[]string{"read"}, []string{"b", "**", "a"}, "*"},
		{[]string{"admin"}, []string{"x"}, "x"},
		{[]string{"ingest"}, []string{"x"}, ""},
	} {
		g := grantOf(t, object{"scopes": tt.scopes, "flows": tt.flows})
		if got := strings.Join(g.Readable(), " "); got != tt.want {
			t.Errorf("%v of %v: %q", tt.scopes, tt.flows, got)
		}
		if (g.CheckReadAll() == nil) != (tt.want == "*") {
			t.Errorf("%v %v: %v", tt.scopes, tt.flows, g.CheckReadAll())
		}
		if (g.CheckReader() == nil) != (tt.want != "") {
			t.Errorf("%v: %v", tt.scopes, g.CheckReader())
		}
	}
	if got := strings.Join(grantOf(t, object{"scopes": []string{"ingest", "read"}}).Scopes(), " "); got != "read ingest" {
		t.Errorf("scopes %s", got)
	}
}

func TestEntry_Validate(t *testing.T) {
	good := Entry{Name: "a", SHA256: Hash("x"), Scopes: []string{"ingest"}, Flows: []string{"*"}, Regions: []string{"fsn1"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := good
	bad.Scopes = []string{"write"}
	err := bad.Validate()
	for _, scope := range []string{"read", "ingest", "admin"} {
		if err == nil || !strings.Contains(err.Error(), scope) {
			t.Errorf("%v does not name %s", err, scope)
		}
	}
}

func TestNewToken_IsUnique(t *testing.T) {
	a, b := NewToken(), NewToken()
	if a == b || len(a) != 47 || !strings.HasPrefix(a, "ofl_") {
		t.Errorf("%s and %s are not two different tokens", a, b)
	}
	if got := Hash("abc"); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("the SHA-256 of abc is not %s", got) // the example of one block in FIPS 180-4
	}
	if _, ok := bearerToken("Bearer " + a); !ok {
		t.Errorf("%s does not fit into a header", a)
	}
}

func TestCredential_PrintsNoToken(t *testing.T) {
	const secret = "ofl_secretsecret"
	p := newTokensDir(t)
	p.file(object{"tokens": []object{tokenOf("a", secret)}})
	a := p.load()
	g := accepted(t, a, secret, "a")
	s := a.Open(g, func(*Grant) error { return nil })
	defer s.Close()
	var out bytes.Buffer
	loggers := []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))}
	for _, v := range []any{g, *g, Bearer(secret), g.credential, s} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		_ = json.NewEncoder(&out).Encode(v)
		for _, l := range loggers {
			l.Info("x", "v", v)
		}
	}
	if strings.Contains(out.String(), "secretsecret") || strings.Contains(out.String(), fmt.Sprintf("%x", "secretsecret")) {
		t.Errorf("a token is printed:\n%s", out.String())
	}
}
