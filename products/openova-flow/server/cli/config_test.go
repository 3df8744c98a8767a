package cli

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestParse_Defaults(t *testing.T) {
	c, err := new(Program).parse(nil, env(), io.Discard)
	if err != nil || c.listenAddr != "127.0.0.1:8080" || c.app.Hub.RingCapacity != 4096 {
		t.Fatalf("%+v %v", c, err)
	}
	c, err = new(Program).parse([]string{"--ring-capacity=7"}, env("FLOW_SERVER_RING_CAPACITY", "9"), io.Discard)
	if err != nil || c.app.Hub.RingCapacity != 7 {
		t.Errorf("a flag wins: %+v %v", c, err)
	}
}

func TestParseOrigins(t *testing.T) {
	if got, err := parseOrigins("https://a.example, http://localhost:5173"); err != nil || strings.Join(got, " ") != "https://a.example http://localhost:5173" {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"https://a.example:443", "http://a.example:80", "https://a.example:", "https://:8443", "https://A.example", "https://a.example/", "https://bücher.example"} {
		if got, err := parseOrigins(bad); err == nil {
			t.Errorf("%s gives %v, which no browser sends", bad, got)
		}
	}
}

func TestParse_FrameAncestors(t *testing.T) {
	for value, want := range map[string]string{"": "self", "none": "none", "self, https://*.example.com,http://grafana:3000": "self https://*.example.com http://grafana:3000"} {
		c, err := new(Program).parse(nil, env("FLOW_SERVER_FRAME_ANCESTORS", value), io.Discard)
		if got := strings.Join(c.app.FrameAncestors, " "); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", value, got, err, want)
		}
	}
}

func TestParse_ErrorsKeepTheCause(t *testing.T) {
	for _, c := range []struct {
		env, value string
		cause      error
	}{
		{"FLOW_SERVER_TOKENS_FILE", "/nonexistent", fs.ErrNotExist},
		{"FLOW_SERVER_TLS_CERT_FILE", "/nonexistent", fs.ErrNotExist},
		{"FLOW_SERVER_TLS_KEY_FILE", "/nonexistent", fs.ErrNotExist},
		{"FLOW_SERVER_MAX_FLOWS", "many", strconv.ErrSyntax},
		{"FLOW_SERVER_MAX_FLOWS", "99999999999999999999", strconv.ErrRange},
	} {
		_, err := new(Program).parse(nil, env(c.env, c.value), io.Discard)
		if !errors.Is(err, c.cause) || !strings.Contains(err.Error(), c.env) {
			t.Errorf("%s=%s: %v", c.env, c.value, err)
		}
	}
	for env, value := range map[string]string{"FLOW_SERVER_IDLE_TIMEOUT": "90", "FLOW_SERVER_CORS_ORIGINS": "http://a b", "FLOW_SERVER_LOG_LEVEL": "loud", "FLOW_SERVER_COMMIT_URL_TEMPLATE": "http://git.example.com/{commit}"} {
		all := new(Program).All()
		at := slices.IndexFunc(all, func(s Setting) bool { return s.Env == env })
		if at < 0 {
			t.Fatalf("no setting %s", env)
		}
		if err := all[at].Set(value); err == nil || errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s=%s: %v", env, value, err)
		}
	}
}
