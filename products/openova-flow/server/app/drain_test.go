package app

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/pipenet"
)

func TestServe_DrainsAliveAndNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 2 * time.Second
		l := pipenet.Listen()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		served := make(chan error, 1)
		go func() { served <- Serve(ctx, l, Config{DrainDelay: delay, Logger: slog.New(slog.DiscardHandler)}) }()
		client := &http.Client{Transport: &http.Transport{DialContext: l.Dial}}
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
			t.Errorf("while draining readyz is %s, healthz %s", ready.Status, healthy.Status)
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
