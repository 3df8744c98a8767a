package channel_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
)

func TestPost_ClassifiesAnswers(t *testing.T) {
	for _, c := range []struct {
		code      int
		after     string
		permanent bool
		busy      time.Duration
	}{
		{400, "", true, 0}, {404, "", true, 0}, {307, "", true, 0}, {401, "", false, 0}, {403, "", false, 0}, {408, "", false, 0}, {500, "", false, 0},
		{429, "9000000000000000000", false, 1e18}, {429, "", false, 0}, {429, "30", false, 30 * time.Second}, {503, "7", false, 7 * time.Second}, {429, "-1", false, 0}, {429, "soon", false, 0},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.after)
			w.WriteHeader(c.code)
		}))
		req, err := http.NewRequest(http.MethodPost, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = channel.Post(channel.NewClient(), req, nil)
		var busy *channel.Busy
		errors.As(err, &busy)
		if err == nil || channel.IsPermanent(err) != c.permanent || (busy != nil) != (c.busy != 0) || busy != nil && busy.After != c.busy {
			t.Errorf("%d %q: %v", c.code, c.after, err)
		}
		srv.Close()
	}
	date := http.Header{"Retry-After": {time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)}}
	if d := channel.RetryAfter(date); d < 58*time.Second || d > time.Minute {
		t.Errorf("%v", d)
	}
}

// TestPost_HostileAnswers has a service echo the credential, and answer without end.
func TestPost_HostileAnswers(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, err := fmt.Fprintf(w, "%s\x1b[2J%s", r.Header.Get("Authorization"), strings.Repeat("x", 100))
		for chunk := make([]byte, 1<<20); err == nil && r.URL.Path == "/endless"; {
			_, err = w.Write(chunk)
		}
	}))
	defer srv.Close()
	for _, path := range []string{"/", "/endless"} {
		req, err := http.NewRequest(http.MethodPost, srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer s3cret")
		_, err = channel.Post(channel.NewClient(), req, nil)
		if !channel.IsPermanent(err) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 500 {
			t.Errorf("%s: %.600v", path, err)
		}
	}
}

func TestSecret_Read(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for text, ok := range map[string]bool{"x\n": true, " x ": true, "": false, "\n": false, "a\nb": false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if value, err := channel.Secret(file).Read(); (err == nil) != ok || ok && value != "x" {
			t.Errorf("%q: %q %v", text, value, err)
		}
	}
	if _, err := channel.Secret(file + "x").Read(); err == nil {
		t.Error("a missing file is accepted")
	}
	if value, err := channel.Secret("").Read(); err != nil || value != "" {
		t.Errorf("%q %v", value, err)
	}
}
