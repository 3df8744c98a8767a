package follow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/follow"
)

// TestServer_ResumesWithTheLastCursor has a server that ends each connection, once within a frame.
func TestServer_ResumesWithTheLastCursor(t *testing.T) {
	var mu sync.Mutex
	var requests []string
	answers := []string{
		"event: heartbeat\ndata: {\"seq\":1,\"at\":5}\n\nid: 7.abc\nevent: a/upsert-nodes\ndata: {}\n\nid: 8\nevent: a/upsert-no",
		"event: a/snapshot\ndata: {\"x\": 1}\n\n",
		"",
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests = append(requests, r.URL.Path+" "+r.Header.Get("Authorization")+" "+r.Header.Get("Last-Event-ID"))
		if len(answers) == 0 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, answers[0])
		answers = answers[1:]
	}))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := &follow.Server{URL: srv.URL + "/base/", Client: srv.Client(), Token: func() (string, error) { return "t0ken", nil }, Log: slog.New(slog.DiscardHandler)}
	frames := make(chan follow.Frame)
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx, frames) })
	var got []string
	for len(got) < 9 {
		select {
		case f := <-frames:
			got = append(got, strings.TrimSpace(f.ID+" "+f.Flow+" "+f.Event+" "+string(f.Data)))
		case <-ctx.Done():
			t.Fatalf("%q", got)
		}
	}
	cancel()
	wg.Wait()
	want := []string{"connected", `heartbeat {"seq":1,"at":5}`, "7.abc a upsert-nodes {}", "lost", "connected", `a snapshot {"x": 1}`, "lost", "connected", "lost"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"/base/v1/stream Bearer t0ken ", "/base/v1/stream Bearer t0ken 7.abc", "/base/v1/stream Bearer t0ken 7.abc"}; !slices.Equal(requests[:3], want) {
		t.Errorf("%q", requests)
	}
}

func TestServer_Lists(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/flows/a/rollouts":
			fmt.Fprint(w, `{"rollouts":[{"id":"x","startedAt":5,"outcome":"running","members":[],"alreadyBroken":[]}]}`)
		case "/v1/flows/b/rollouts":
			w.WriteHeader(http.StatusNotFound)
		case "/v1/flows/a/revisions":
			fmt.Fprint(w, `{"revisions":[{"id":"r1","source":{"kind":"GitRepository","url":"https://x/y"},"revision":"main@sha1:0123","firstSeenAt":5,"regions":[{"region":"r","state":"done","firstSeenAt":5}]}]}`)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, r.Header.Get("Authorization"))
		}
	}))
	defer srv.Close()
	s := &follow.Server{URL: srv.URL, Client: srv.Client(), Token: func() (string, error) { return "s3cret", nil }, Log: slog.New(slog.DiscardHandler)}
	if list, err := s.Rollouts(t.Context(), "a"); err != nil || len(list) != 1 || list[0].ID != "x" || !list[0].EndedAt.IsZero() {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := s.Rollouts(t.Context(), "b"); !errors.Is(err, follow.ErrNoFlow) {
		t.Errorf("%v", err)
	}
	if list, err := s.Revisions(t.Context(), "a"); err != nil || len(list) != 1 || list[0].ID != "r1" || len(list[0].Regions) != 1 {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := s.Rollouts(t.Context(), "c"); err == nil || errors.Is(err, follow.ErrNoFlow) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
}

func TestServer_RefusalHasTheDetailOnly(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintln(w, `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"unknown \"token\""}`)
	}))
	defer srv.Close()
	lost := make(chan error, 1)
	s := &follow.Server{URL: srv.URL, Client: srv.Client(), Token: func() (string, error) { return "s3cret", nil }, Log: slog.New(slog.DiscardHandler),
		Lost: func(err error) {
			select {
			case lost <- err:
			default:
			}
		}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go s.Run(ctx, make(chan follow.Frame, 100))
	err := <-lost
	for _, part := range []string{"401", `unknown "token"`, "server.tokenFile"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want %s", err, part)
		}
	}
	if strings.Contains(err.Error(), "about:blank") {
		t.Errorf("%v, want no JSON", err)
	}
}

// silent is a transport whose responses have a header and never any bytes.
type silent struct{ begun chan time.Time }

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	s.begun <- time.Now()
	return &http.Response{StatusCode: http.StatusOK, Body: silence{r.Context()}, Header: make(http.Header)}, nil
}

type silence struct{ ctx context.Context }

func (s silence) Read([]byte) (int, error) { <-s.ctx.Done(); return 0, s.ctx.Err() }
func (s silence) Close() error             { return nil }

func TestServer_GivesUpASilentConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := silent{make(chan time.Time, 10)}
		s := &follow.Server{URL: "http://x", Client: &http.Client{Transport: transport}, Token: func() (string, error) { return "", nil }, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		frames := make(chan follow.Frame)
		go s.Run(ctx, frames)
		for _, want := range []string{follow.Connected, follow.Lost, follow.Connected} {
			if f := <-frames; f.Event != want {
				t.Errorf("%q, want %q", f.Event, want)
			}
		}
		if took := (<-transport.begun).Sub(<-transport.begun).Abs(); took < 45*time.Second || took > 47*time.Second {
			t.Errorf("it connects again after %v, want 45 s to 47 s", took)
		}
		cancel()
	})
}

// slowBody is a transport and the body of its responses. Each Read gets one byte, after a pause.
type slowBody struct {
	text  string
	pause time.Duration
}

func (b *slowBody) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: b, Header: make(http.Header)}, nil
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.text == "" {
		return 0, io.EOF
	}
	time.Sleep(b.pause)
	p[0], b.text = b.text[0], b.text[1:]
	return 1, nil
}

func (b *slowBody) Close() error { return nil }

// TestServer_KeepsASlowConnection has a snapshot that takes minutes to arrive, or a caller that takes minutes to process a frame.
func TestServer_KeepsASlowConnection(t *testing.T) {
	const stream = "event: a/snapshot\ndata: {}\n\nevent: a/deleted\ndata: {}\n\n"
	for name, pauses := range map[string]struct{ read, process time.Duration }{"slow link": {30 * time.Second, 0}, "slow caller": {0, 5 * time.Minute}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &follow.Server{URL: "http://x", Client: &http.Client{Transport: &slowBody{stream, pauses.read}}, Token: func() (string, error) { return "", nil }, Log: slog.New(slog.DiscardHandler)}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				frames := make(chan follow.Frame)
				go s.Run(ctx, frames)
				for _, want := range []string{follow.Connected, "snapshot", "deleted", follow.Lost} {
					if f := <-frames; f.Event != want {
						t.Fatalf("%q, want %q", f.Event, want)
					}
					time.Sleep(pauses.process)
				}
			})
		})
	}
}
