package app

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener on loopback whose connections are net.Pipes, which fake time understands.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func TestWhileItDrainsItIsAliveAndNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 2 * time.Second
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		served := make(chan error, 1)
		go func() { served <- Serve(ctx, l, Config{DrainDelay: delay, Logger: slog.New(slog.DiscardHandler)}) }()
		client := &http.Client{Transport: &http.Transport{DialContext: l.dial}}
		defer client.CloseIdleConnections()
		get := func(path string) *http.Response {
			t.Helper()
			resp, err := client.Get("http://127.0.0.1" + path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { resp.Body.Close() })
			return resp
		}
		stream := get("/v1/flows/F/stream")
		if ready := get("/readyz"); ready.StatusCode != 200 {
			t.Errorf("readyz is %s", ready.Status)
		}
		stop()
		synctest.Wait()
		began := time.Now()
		if ready, healthy := get("/readyz"), get("/healthz"); ready.StatusCode != 503 || healthy.StatusCode != 200 {
			t.Errorf("while it drains readyz is %s, healthz %s", ready.Status, healthy.Status)
		}
		if rest, err := io.ReadAll(stream.Body); err != nil || !bytes.HasSuffix(rest, []byte("\n\n")) {
			t.Errorf("the stream ends with %q, %v", rest, err)
		}
		if took := time.Since(began); took != delay {
			t.Errorf("the stream ended after %v", took)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
