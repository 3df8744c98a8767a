package main

import (
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/internal/settings"
	"github.com/openova-io/openova/products/openova-flow/server/terminal/terminaltest"
)

func TestSettings_ErrorsRepeatNoSecret(t *testing.T) {
	for _, value := range terminaltest.SecretURLs {
		for _, s := range new(config).settings() {
			err := settings.Parse([]settings.Setting{s}, nil, func(string) string { return value })
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("%s %q: %v", s.Env, value, err)
			}
			if err == nil && s.Env == "FLOW_PROXY_UPSTREAM_URL" {
				t.Errorf("%s accepts %q", s.Env, value)
			}
		}
	}
}
