package cli

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/internal/settings"
	"github.com/openova-io/openova/products/openova-flow/server/terminal/terminaltest"
)

// TestSettings_ErrorsRepeatNoSecret gives settings, commands and their arguments a URL with a secret, as if two values were mixed up.
func TestSettings_ErrorsRepeatNoSecret(t *testing.T) {
	t.Chdir(t.TempDir()) // without a slash, a URL is a valid file name
	for _, value := range terminaltest.SecretURLs {
		for _, s := range (Program{}).All() {
			err := settings.Parse([]settings.Setting{s}, nil, func(string) string { return value })
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("%s %q: %v", s.Env, value, err)
			}
			if err == nil && s.Env == "FLOW_SERVER_CORS_ORIGINS" {
				t.Errorf("%s accepts %q", s.Env, value)
			}
		}
		for _, args := range [][]string{{"wait", "--flow=F", "--url=" + value}, {"wait", value}, {"wait", "--url=http://x", "--flow=" + value},
			{"wait", "--url=http://x", "--flow=F", "--since=" + value}, {"wait", "--url=http://x", "--flow=F", "--output=" + value}, {value}, {"serve", value}, {"serve", "--listen-addr=192.0.2.1:1", "--state-file=" + value}, {"token", value}, {"token", "new", value},
			{"wait", "--" + value}, {"wait", "--timeout=" + value}, {"wait", "--release=" + value}, {"token", "new", "--" + value},
			waitWith("repo", value), waitWith("token-file", value), waitWith("junit", value), waitWith("markdown", value), waitWith("report", value)} {
			var out, errors bytes.Buffer
			err := (Program{Name: "p"}).Run(t.Context(), args, func(string) string { return "" }, &out, &errors)
			if text := out.String() + errors.String(); err == nil || strings.Contains(text, "hidden") || strings.Contains(err.Error(), "hidden") {
				t.Errorf("%q: %v, %s", args, err, text)
			}
		}
	}
}

func waitWith(flag, value string) []string {
	return []string{"wait", "--url=http://127.0.0.1:1", "--flow=F", "--timeout=1ms", "--" + flag + "=" + value}
}

// endingWrites collects the output of a command and calls ended after each write.
type endingWrites struct {
	bytes.Buffer
	ended func()
}

func (w *endingWrites) Write(b []byte) (int, error) {
	defer w.ended()
	return w.Buffer.Write(b)
}

// TestWait_HidesTheURLOfARedirect redirects wait to an address that does not answer.
func TestWait_HidesTheURLOfARedirect(t *testing.T) {
	srv := httptest.NewServer(http.RedirectHandler("http://me:hidden@127.0.0.1:1/?hidden", http.StatusFound))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	output := &endingWrites{ended: cancel}
	err := (Program{Name: "p"}).Run(ctx, []string{"wait", "--flow=F", "--timeout=1m", "--url=" + srv.URL}, func(string) string { return "" }, io.Discard, output)
	if err == nil || strings.Contains(output.String(), "hidden") || !strings.Contains(output.String(), srv.Listener.Addr().String()) {
		t.Errorf("%v, %s", err, output)
	}
}
