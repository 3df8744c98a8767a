package main

import (
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/internal/settings"
)

// TestSettings_ErrorsRepeatNoSecret gives each setting a URL with what no error may repeat.
func TestSettings_ErrorsRepeatNoSecret(t *testing.T) {
	for _, value := range []string{"https://me:hidden@host", "https://host/?token=hidden", "https://host/#hidden", "me:hidden@host:4222", "nats://a:1,tls://hidden@host:2",
		"https://me:hidden@host:x", "https://host:443?hidden", "ftp://me:hid den@host/hidden", "https://me:%%hidden@host", "https://me%3Ahidden%40host", "\x00https://hidden@host",
		"http:host?hidden", "https://[hidden@host", "HTTPS://HOST?hidden"} {
		for _, s := range new(config).settings() {
			err := settings.Parse([]settings.Setting{s}, nil, func(string) string { return value })
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("%s %q: %v", s.Env, value, err)
			}
			if err == nil && s.Env == "FLOW_PROXY_UPSTREAM_URL" {
				t.Errorf("%s takes %q", s.Env, value)
			}
		}
	}
}
