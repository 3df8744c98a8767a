package httpapi

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	trimEvery = time.Second
	trimAfter = 1000 // streams: fewer leave too little behind
)

// Run gives memory back to the system at the start, and after many streams have opened: what opening one takes, buffers above all, is more than what
// following takes, and the runtime would keep it. It blocks until ctx is done.
func (s *Server) Run(ctx context.Context) {
	debug.FreeOSMemory() // what starting took
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	var seen, trimmed int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.opened.Load()
		if quiet := now == seen; quiet && now-trimmed >= trimAfter {
			debug.FreeOSMemory()
			trimmed = now
		}
		seen = now
	}
}
