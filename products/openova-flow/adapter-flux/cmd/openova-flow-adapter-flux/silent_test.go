package main

import (
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// tunnel forwards connections to a target. After silence, its connections stay open but nothing is forwarded on them; new ones work.
type tunnel struct {
	net.Listener
	target string

	mu    sync.Mutex
	muted chan struct{} // closed by silence
}

func tunnelTo(t *testing.T, target string) *tunnel {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &tunnel{Listener: l, target: target, muted: make(chan struct{})}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", r.target)
			if err != nil {
				_ = in.Close()
				return
			}
			t.Cleanup(func() { _, _ = in.Close(), out.Close() })
			r.mu.Lock()
			muted := r.muted
			r.mu.Unlock()
			go forward(out, in, muted)
			go forward(in, out, muted)
		}
	}()
	return r
}

func (r *tunnel) silence() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.muted)
	r.muted = make(chan struct{})
}

func forward(to, from net.Conn, muted chan struct{}) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-muted:
			_, _ = io.Copy(io.Discard, from)
			return
		default:
		}
		if err != nil {
			_ = to.Close()
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func TestRun_LeavesASilentConnectionToTheAPIServer(t *testing.T) {
	t.Parallel()
	k8s, _ := cluster(t)
	k8s.Put(watch.Kinds[0].Resource, object(1, "Unknown", "before"))
	link := tunnelTo(t, strings.TrimPrefix(k8s.URL(), "https://"))
	addr, health := freeAddr(t), freeAddr(t)
	flowServer(t, addr)
	adapter := startAdapter(t, addr, health, kubeconfigAt(t, k8s, "https://"+link.Addr().String()))
	eventually(t, "ready", adapter.out, ready(health))
	link.silence()
	k8s.Put(watch.Kinds[0].Resource, object(1, "True", "after"))
	eventually(t, "the change has arrived on a new connection", adapter.out, func() bool {
		m := snapshot(t, addr, "env-1")
		return m != nil && statuses(m.Nodes)["fsn1/app-0001"] == "succeeded"
	})
}

func TestRun_LeavesASilentConnectionToTheFlowServer(t *testing.T) {
	t.Parallel()
	k8s, kubeconfig := cluster(t)
	k8s.Put(watch.Kinds[0].Resource, object(1, "Unknown", "before"))
	h := hub.New(hub.Config{})
	server := httptest.NewUnstartedServer(httpapi.New(h, httpapi.Config{Logger: slog.New(slog.DiscardHandler)}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	link := tunnelTo(t, server.Listener.Addr().String())
	health := freeAddr(t)
	adapter := startAdapter(t, "", health, kubeconfig, "FLOW_SERVER_URL=https://"+link.Addr().String(), "FLOW_CA_FILE="+ca, "POST_TIMEOUT=2s")
	eventually(t, "ready", adapter.out, ready(health))
	link.silence()
	k8s.Put(watch.Kinds[0].Resource, object(1, "True", "after"))
	eventually(t, "the change has arrived on a new connection", adapter.out, func() bool {
		s, err := h.Snapshot("env-1")
		return err == nil && strings.Contains(string(s.JSON()), `"status":"succeeded"`)
	})
}

func TestConnect_KeepsKeepaliveSettingsOfTheEnvironment(t *testing.T) {
	const ping, idle = "HTTP2_PING_TIMEOUT_SECONDS", "HTTP2_READ_IDLE_TIMEOUT_SECONDS"
	t.Setenv(ping, "7")
	t.Setenv(idle, "") // restored at the end
	_ = os.Unsetenv(idle)
	_, kubeconfig := cluster(t)
	if _, err := connect(config{kubeconfig: kubeconfig}); err != nil {
		t.Fatal(err)
	}
	if os.Getenv(ping) != "7" || os.Getenv(idle) != "5" {
		t.Errorf("%s is %q, %s is %q", ping, os.Getenv(ping), idle, os.Getenv(idle))
	}
}
