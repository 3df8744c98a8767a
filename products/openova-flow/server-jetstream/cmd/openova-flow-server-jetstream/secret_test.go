package main

import (
	"io"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/cli"
	"github.com/openova-io/openova/products/openova-flow/server/terminal/terminaltest"
)

// TestSettings_ErrorsRepeatNoSecret sets each setting to URLs with secrets, which no error may repeat.
func TestSettings_ErrorsRepeatNoSecret(t *testing.T) {
	for _, value := range terminaltest.SecretURLs {
		for _, s := range new(config).settings() {
			p := cli.Program{Name: "p", Settings: []cli.Setting{s}}
			err := p.Run(t.Context(), []string{"serve", "--listen-addr=none"}, func(name string) string {
				if name == s.Env {
					return value
				}
				return ""
			}, io.Discard, io.Discard)
			if err == nil || strings.Contains(err.Error(), "hidden") {
				t.Errorf("%s %q: %v", s.Env, value, err)
			}
			if s.Set(value) == nil && s.Env == "NATS_URL" {
				t.Errorf("%s accepts %q", s.Env, value)
			}
		}
	}
}
