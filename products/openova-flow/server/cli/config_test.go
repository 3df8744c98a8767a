package cli

import (
	"io"
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

func TestDefaultsAreAllowed(t *testing.T) {
	c, err := new(Program).parse(nil, env(), io.Discard)
	if err != nil || c.listenAddr != "127.0.0.1:8080" || c.app.Hub.RingCapacity != 4096 {
		t.Fatalf("%+v %v", c, err)
	}
	c, err = new(Program).parse([]string{"--ring-capacity=7"}, env("FLOW_SERVER_RING_CAPACITY", "9"), io.Discard)
	if err != nil || c.app.Hub.RingCapacity != 7 {
		t.Errorf("a flag wins: %+v %v", c, err)
	}
}

func TestOrigins(t *testing.T) {
	if got, err := parseOrigins("https://a.example, http://localhost:5173"); err != nil || strings.Join(got, " ") != "https://a.example http://localhost:5173" {
		t.Errorf("%v %v", got, err)
	}
}
