package follow

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

const (
	// maxLine bounds a line of the stream, in bytes. By default a flow has at most half as many on the server.
	maxLine = 512 << 20
	// silence is how long a connection may receive nothing until it is closed. The server sends a heartbeat every 15 seconds.
	silence = 45 * time.Second
	// Pauses between two attempts to connect.
	firstPause, maxPause = 500 * time.Millisecond, 30 * time.Second
)

// Server is the flow server.
type Server struct {
	URL    string // base URL
	Client *http.Client
	// Token returns the bearer token of a request; empty: none is sent.
	Token func() (string, error)
	Log   *slog.Logger
	// Lost is called with the error of each lost or failed connection of Run; nil: nothing is called.
	Lost func(error)
}

// Frame is one event of the stream of all flows.
type Frame struct {
	ID    string // the cursor, empty if it has none
	Flow  string // empty for events of the stream itself
	Event string // of the server, or Connected or Lost
	Data  []byte
}

// Events of Frame that Run adds.
const (
	Connected = "connected" // a connection has begun
	Lost      = "lost"      // a connection has ended, or could not be made
)

// Run sends the frames of the stream to frames until ctx ends, and reconnects with the last cursor whenever the connection ends.
func (s *Server) Run(ctx context.Context, frames chan<- Frame) {
	cursor, pause := "", firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := s.connect(ctx, &cursor, frames)
		if ctx.Err() != nil {
			return
		}
		s.Log.Warn("stream lost", "err", err)
		if s.Lost != nil {
			s.Lost(err)
		}
		if !send(ctx, frames, Frame{Event: Lost}) {
			return
		}
		if time.Since(began) > maxPause {
			pause = firstPause
		}
		wait := time.NewTimer(time.Duration(float64(pause) * (0.75 + rand.Float64()/2)))
		select {
		case <-ctx.Done():
		case <-wait.C:
		}
		wait.Stop()
		pause = min(2*pause, maxPause)
	}
}

func send(ctx context.Context, frames chan<- Frame, f Frame) bool {
	select {
	case frames <- f:
		return true
	case <-ctx.Done():
		return false
	}
}

// connect reads one connection. It always returns an error.
func (s *Server) connect(ctx context.Context, cursor *string, frames chan<- Frame) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(silence, func() { cancel(fmt.Errorf("nothing received for %v", silence)) })
	defer watchdog.Stop()
	req, err := s.request(ctx, "/v1/stream")
	if err != nil {
		return err
	}
	if *cursor != "" {
		req.Header.Set("Last-Event-ID", *cursor)
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		return s.plain(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	watchdog.Stop()
	if !send(ctx, frames, Frame{Event: Connected}) {
		return context.Cause(ctx)
	}
	lines := bufio.NewScanner(watchedReader{resp.Body, watchdog})
	lines.Buffer(make([]byte, 64<<10), maxLine)
	var f Frame
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 {
			if f.Event != "" && !send(ctx, frames, f) {
				return context.Cause(ctx)
			}
			*cursor, f = cmp.Or(f.ID, *cursor), Frame{}
			continue
		}
		name, value, _ := strings.Cut(string(line), ": ")
		switch name {
		case "id":
			f.ID = value
		case "event":
			f.Flow, f.Event, _ = strings.Cut(value, "/")
			if f.Event == "" {
				f.Flow, f.Event = "", value
			}
		case "data":
			f.Data = []byte(value)
		}
	}
	return s.plain(ctx, cmp.Or(lines.Err(), io.EOF))
}

// watchedReader runs the watchdog only during a Read, so neither a long line on a slow link nor a slow receiver of frames counts as silence.
type watchedReader struct {
	io.Reader
	watchdog *time.Timer
}

func (r watchedReader) Read(p []byte) (int, error) {
	r.watchdog.Reset(silence)
	defer r.watchdog.Stop()
	return r.Reader.Read(p)
}

func (s *Server) request(ctx context.Context, path string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(s.URL, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	token, err := s.Token()
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, err
}

// plain returns the cause of ctx if it has ended, else err without the URL.
func (s *Server) plain(ctx context.Context, err error) error {
	if u := new(url.Error); errors.As(err, &u) {
		err = u.Err
	}
	return cmp.Or(context.Cause(ctx), err)
}

// refused returns the error of a failed response: its status, the detail of its problem document, else its body, and what to change.
func refused(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status is enough
	text := string(body)
	var problem struct {
		Detail string `json:"detail"`
	}
	if err := json.Unmarshal(body, &problem); err == nil && problem.Detail != "" {
		text = problem.Detail
	}
	advice := ""
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		advice = "; check server.tokenFile"
	case http.StatusNotFound:
		advice = "; check server.url"
	}
	return fmt.Errorf("the server answers %s: %s%s", terminal.Text(channel.Redact(resp.Request, resp.Status), 64),
		terminal.Text(channel.Redact(resp.Request, strings.TrimSpace(text)), 300), advice)
}
