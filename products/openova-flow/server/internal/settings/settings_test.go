package settings

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func getenv(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestParse_FlagWinsOverEnvironmentOverDefault(t *testing.T) {
	var one, two string
	to := func(s *string) func(string) error { return func(v string) error { *s = v; return nil } }
	all := []Setting{
		{Env: "FLOW_SERVER_ONE_NAME", Default: "d", Set: to(&one)},
		{Env: "FLOW_PROXY_TWO", Default: "d", Set: to(&two)},
		{Env: "NATS_NONE", Set: func(string) error { return errors.New("Set was called without a value") }},
	}
	for _, c := range []struct {
		args     []string
		env      map[string]string
		one, two string
	}{
		{nil, nil, "d", "d"},
		{nil, map[string]string{"FLOW_SERVER_ONE_NAME": "e"}, "e", "d"},
		{[]string{"--one-name=f"}, map[string]string{"FLOW_SERVER_ONE_NAME": "e", "FLOW_PROXY_TWO": "e"}, "f", "e"},
		{[]string{"--one-name="}, map[string]string{"FLOW_SERVER_ONE_NAME": "e"}, "d", "d"},
		{[]string{"-two", "f", "--nats-none="}, nil, "d", "f"},
	} {
		if err := Parse(all, c.args, getenv(c.env)); err != nil || one != c.one || two != c.two {
			t.Errorf("%v %v: %q %q %v", c.args, c.env, one, two, err)
		}
	}
	if err := Parse(all, []string{"-h"}, getenv(nil)); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
	for _, arg := range []string{"https://u:hunter2@host", "--https://u:hunter2@host", "--=https://u:hunter2@host"} {
		if err := Parse(all, []string{arg}, getenv(nil)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("an argument that may hold a secret: %v", err)
		}
	}
	if err := Parse(all, []string{"--three"}, getenv(nil)); err == nil || !strings.Contains(err.Error(), "-three") || !strings.Contains(err.Error(), "help") {
		t.Errorf("an unknown flag: %v, want its name and the command that lists the flags", err)
	}
	for _, args := range [][]string{{"--three"}, {"four"}} {
		if err := Parse(all, args, getenv(nil)); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

func TestParse_ErrorKeepsNameValueCauseAndWhatIsAllowed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none")
	all := func(set func(string) error) []Setting {
		return []Setting{{Env: "FLOW_SERVER_FILE", Allowed: "a file", Set: set}}
	}
	open := func(v string) error { _, err := os.Open(v); return err }
	for _, c := range []struct {
		name         string
		set          func(string) error
		value        string
		cause        error
		want, lacks  []string
		maximumBytes int
	}{
		{"cause", open, file, fs.ErrNotExist, []string{"FLOW_SERVER_FILE", `"` + file + `"`, "a file"}, nil, 1000},
		{"no cause", func(string) error { return ErrNotAllowed }, "x", nil, []string{"FLOW_SERVER_FILE", `"x"`, "a file"}, []string{ErrNotAllowed.Error()}, 1000},
		{"address without host", func(string) error { return ErrNotAllowed }, ":99999", nil, []string{`":99999"`}, nil, 1000},
		{"secret", func(v string) error { return errors.New(v) }, "http://u:hunter2@host", nil, []string{"FLOW_SERVER_FILE", "a file"}, []string{"hunter2"}, 1000},
		{"secret in a file's name", open, file + "@hunter2", fs.ErrNotExist, []string{"FLOW_SERVER_FILE", "a file"}, []string{"hunter2"}, 1000},
		{"long and hostile", func(string) error { return ErrNotAllowed }, "\x1b[2J" + strings.Repeat("x", 5000), nil, []string{"FLOW_SERVER_FILE", "xxx", "a file"}, []string{"\x1b"}, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Parse(all(c.set), nil, getenv(map[string]string{"FLOW_SERVER_FILE": c.value}))
			if err == nil || c.cause != nil && !errors.Is(err, c.cause) || len(err.Error()) > c.maximumBytes {
				t.Fatalf("%v", err)
			}
			for _, text := range c.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q is not in: %v", text, err)
				}
			}
			for _, text := range c.lacks {
				if strings.Contains(err.Error(), text) {
					t.Errorf("%q is in: %v", text, err)
				}
			}
		})
	}
	err := Parse(all(open), []string{"--file=" + file}, getenv(nil))
	if err == nil || !strings.Contains(err.Error(), "--file") || strings.Contains(err.Error(), "FLOW_SERVER_FILE") {
		t.Errorf("a flag: %v", err)
	}
}

func TestCheckListenAndCheckBasePath(t *testing.T) {
	for address, ok := range map[string]bool{"127.0.0.1:8080": true, ":0": true, "[::1]:65535": true, "8080": false, "x:http": false, "x:65536": false, "::1:80": false, "": false} {
		if err := CheckListen(address); (err == nil) != ok {
			t.Errorf("listen %q: %v", address, err)
		}
	}
	for path, ok := range map[string]bool{"/": true, "/a/b/": true, "": false, "/a": false, "a/": false, "/a//b/": false} {
		if err := CheckBasePath(path); (err == nil) != ok {
			t.Errorf("base path %q: %v", path, err)
		}
	}
}
