package cli

import (
	"context"
	"io"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/app"
)

func TestServe_PrepareWithoutRelease(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	p := Program{Name: "p", Prepare: func(context.Context, *app.Config) (release func(), err error) {
		stop()
		return nil, nil
	}}
	if err := p.Run(ctx, []string{"--listen-addr=127.0.0.1:0", "--drain-delay=0s"}, env(), io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
}
