package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// piped is a listener for one connection, a net.Pipe, which works in fake time.
type piped chan net.Conn

func (p piped) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p piped) Close() error { close(p); return nil }

func (p piped) Addr() net.Addr { return &net.TCPAddr{} }

func TestHealth_ClosesIdleConnections(t *testing.T) {
	const request = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, c := range map[string]struct {
		use   func(t *testing.T, conn net.Conn)
		after time.Duration
	}{
		"half a request": {func(t *testing.T, conn net.Conn) { _, _ = io.WriteString(conn, request[:20]) }, 5 * time.Second},
		"no second request": {func(t *testing.T, conn net.Conn) {
			_, _ = io.WriteString(conn, request)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%v, %v", res, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
		}, time.Minute},
		"an answer that is not read": {func(t *testing.T, conn net.Conn) {
			_, _ = io.WriteString(conn, request)
			time.Sleep(31 * time.Second)
		}, 31 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener, ended := make(piped, 1), make(chan struct{})
				ctx, stop := context.WithCancel(t.Context())
				go func() {
					defer close(ended)
					newHealth(prometheus.NewRegistry()).serve(ctx, listener, slog.New(slog.DiscardHandler))
				}()
				conn, other := net.Pipe()
				listener <- other
				began := time.Now()
				c.use(t, conn)
				_ = conn.SetReadDeadline(began.Add(time.Hour))
				if rest, err := io.ReadAll(conn); err != nil || strings.HasPrefix(string(rest), "HTTP/1.1 200") {
					t.Errorf("got %q, %v; want a closed connection", rest, err)
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("closed after %v, want %v", took, c.after)
				}
				stop()
				<-ended
			})
		})
	}
}

func TestReadyz_FailsWhileTheLastChangesAreSent(t *testing.T) {
	t.Parallel()
	k8s, kubeconfig := cluster(t)
	k8s.Put(watch.Kinds[0].Resource, object(1, "Unknown", "before"))
	api := httpapi.New(hub.New(hub.Config{}), httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
	var hold atomic.Bool
	held, release := make(chan struct{}, 10), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hold.Load() && r.Method == http.MethodPost {
			held <- struct{}{}
			<-release
		}
		api.ServeHTTP(w, r)
	}))
	defer server.Close()
	health := freeAddr(t)
	adapter := startAdapter(t, "", health, kubeconfig, "FLOW_SERVER_URL="+server.URL)
	eventually(t, "ready", adapter.out, ready(health))
	hold.Store(true)
	k8s.Put(watch.Kinds[0].Resource, object(1, "True", "after"))
	<-held
	if !ready(health)() {
		t.Error("not ready while a POST is in flight")
	}
	if err := adapter.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not ready", adapter.out, func() bool {
		code, _ := get("http://" + health + "/readyz")
		return code == http.StatusServiceUnavailable
	})
	close(release)
	if adapter.wait(t); adapter.exitErr != nil {
		t.Errorf("%v\n%s", adapter.exitErr, adapter.out)
	}
}
