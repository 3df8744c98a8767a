package natslog_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natslog"
	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natsserver"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// BenchmarkLoad loads 1,000 flows of 200 nodes. Each node was created and changed once: 400 messages a flow, in batches of ten.
func BenchmarkLoad(b *testing.B) {
	const flows, nodes, batch = 1000, 200, 10
	quiet := slog.New(slog.DiscardHandler)
	s, err := natsserver.Start(b.Context(), natsserver.Config{Dir: b.TempDir(), SyncInterval: time.Minute, Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Stop()
	run := func() (*hub.Hub, func()) {
		conn, err := s.Connect()
		if err != nil {
			b.Fatal(err)
		}
		log, err := natslog.New(natslog.Config{Conn: conn, Timeout: time.Minute, Logger: quiet})
		if err != nil {
			b.Fatal(err)
		}
		h := hub.New(hub.Config{Log: log})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- log.Run(ctx, h) }()
		for !log.Status().Loaded {
			time.Sleep(time.Millisecond)
		}
		return h, func() {
			cancel()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			conn.Close()
		}
	}
	h, stop := run()
	work := make(chan string)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for id := range work {
				for i := range 2 * nodes / batch {
					var messages []*flow.Message
					for j := range batch {
						m, err := flow.Decode(id, fmt.Appendf(nil, `{"type":"upsert-nodes","nodes":[{"id":"r1/n%d","flowId":%q,"label":"release","status":"running","region":"r1","startedAt":1790000000000,"meta":{"kind":"HelmRelease","s":"%0200d"}}]}`, (i*batch+j)%nodes, id, i))
						if err != nil {
							b.Error(err)
							return
						}
						messages = append(messages, m)
					}
					if _, err := h.Ingest(record.Post{FlowID: id, Messages: messages}); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	for i := range flows {
		work <- fmt.Sprint("flow-", i)
	}
	close(work)
	wg.Wait()
	stop()
	for b.Loop() {
		h, stop := run()
		if n := h.Stats.Nodes.Load(); n != flows*nodes {
			b.Fatalf("%d nodes", n)
		}
		b.StopTimer()
		stop()
		b.StartTimer()
	}
}
