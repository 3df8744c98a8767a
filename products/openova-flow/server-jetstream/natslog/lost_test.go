package natslog_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natslog"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// lossy connects to a NATS server and loses the first requests for a consumer of the checkpoints.
type lossy struct {
	*server.Server
	left atomic.Int32
}

func (l *lossy) InProcessConn() (net.Conn, error) {
	c, err := l.Server.InProcessConn()
	return &lossyConn{Conn: c, left: &l.left}, err
}

type lossyConn struct {
	net.Conn
	left *atomic.Int32
}

func (c *lossyConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("$JS.API.CONSUMER.CREATE.KV_")) && c.left.Add(-1) >= 0 {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestRun_RepeatsARequestWithoutAnswer loses the first requests of loading. JetStream loses some while it recovers damaged files.
func TestRun_RepeatsARequestWithoutAnswer(t *testing.T) {
	t.Parallel() // waits for most of its time
	l := &lossy{}
	var err error
	if l.Server, err = server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoSigs: true}); err != nil {
		t.Fatal(err)
	}
	l.Start()
	t.Cleanup(func() { l.Shutdown(); l.WaitForShutdown() })
	if !l.ReadyForConnections(testTimeout) {
		t.Fatal("the NATS server does not start")
	}
	l.left.Store(3) // to remove old checkpoints, to watch and to list them
	conn, err := nats.Connect("", nats.InProcessServer(l))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	log, err := natslog.New(natslog.Config{Conn: conn, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx, hub.New(hub.Config{Log: log})) }()
	for began := time.Now(); !log.Status().Loaded; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 40*time.Second { // package jetstream waits 5 s for an answer
			t.Fatal("the log is not loaded")
		}
	}
	cancel()
	if err := <-done; err != nil || l.left.Load() > 0 {
		t.Errorf("Run: %v, %d requests not lost", err, l.left.Load())
	}
}
