//go:build linux

package load

import (
	"fmt"
	"strings"
	"time"
)

// Kind is a kind of Scenario.
type Kind string

const (
	// Fanout publishes to connected readers, or to none.
	Fanout Kind = "fanout"
	// Idle connects readers and publishes nothing to them.
	Idle Kind = "idle"
	// Replay publishes without readers, then lets all readers resume at once from before the first measured message.
	Replay Kind = "replay"
)

// Scenario is a measurement of a server.
type Scenario struct {
	Kind       Kind          `json:"kind"`
	Readers    int           `json:"readers"`
	Stalled    int           `json:"stalled,omitempty"` // in a Fanout, additional readers that read nothing after connecting
	Publishers int           `json:"publishers,omitempty"`
	Flows      int           `json:"flows,omitempty"` // number of flows that receive a Fanout's messages in turn; every reader follows all flows; 0: one flow, followed alone
	Messages   int           `json:"messages,omitempty"`
	Warm       int           `json:"warm,omitempty"`   // in a Fanout, unmeasured messages before the measured ones
	Size       int           `json:"size,omitempty"`   // bytes of a message; default 400
	Rate       float64       `json:"rate,omitempty"`   // messages a second, over all publishers; 0: as fast as they are answered
	Within     time.Duration `json:"within,omitempty"` // stop posting after this time; 0: post all
	Hold       time.Duration `json:"hold,omitempty"`   // except in a Replay, idle time of connected readers before memory is read
	Quiet      time.Duration `json:"quiet,omitempty"`  // silence after which missing messages count as lost; default 5 s
}

// Connections returns the maximum number of simultaneous connections.
func (s Scenario) Connections() int {
	n := s.Readers + s.Stalled + max(1, s.Publishers)
	if s.Kind == Idle {
		n += ahead
	}
	return n
}

func (s Scenario) withDefaults() Scenario {
	if s.Size == 0 {
		s.Size = 400
	}
	if s.Quiet == 0 {
		s.Quiet = 5 * time.Second
	}
	if s.Publishers == 0 {
		s.Publishers = 1
	}
	return s
}

// Server is the measured server.
type Server struct {
	Addr string // IPv4 loopback address and port
	Flow string // default "bench"
	PID  int    // process whose CPU time and memory to read; 0: do not read them
}

// Result is the result of a Scenario. Durations are in nanoseconds.
type Result struct {
	Accepted int64 `json:"accepted"` // messages, without the warm-up
	Refused  int64 `json:"refused"`
	// PublishSeconds is the time from the first request to the last answer.
	PublishSeconds float64       `json:"publishSeconds"`
	PublishP50     time.Duration `json:"publishP50"`
	PublishP99     time.Duration `json:"publishP99"`

	Delivered int64 `json:"delivered"`
	// DeliverSeconds is the time from the first request (in a replay, the first connection) to the last message at any reader.
	DeliverSeconds float64       `json:"deliverSeconds"`
	P50            time.Duration `json:"p50"`
	P99            time.Duration `json:"p99"`
	P999           time.Duration `json:"p999"`
	Worst          time.Duration `json:"worst"`
	Bytes          int64         `json:"bytes"`

	Lost      int64  `json:"lost"`      // accepted messages that were neither delivered nor in a snapshot, summed over the readers that do not stall
	Twice     int64  `json:"twice"`     // messages delivered to a reader twice
	Disorder  int64  `json:"disorder"`  // messages whose id does not increase
	Misnumber int64  `json:"misnumber"` // messages whose id differs from the answer to their POST, or between readers
	Resyncs   int64  `json:"resyncs"`   // snapshots after a reader's first one; all, in a replay
	Covered   int64  `json:"covered"`   // messages replaced by those snapshots
	Cut       int    `json:"cut"`       // readers whose stream ended, without those in StalledCut
	CutWhy    string `json:"cutWhy,omitempty"`

	Chunked    bool          `json:"chunked"`    // streams are chunked; else they end with the connection
	Heartbeats int64         `json:"heartbeats"` // after a reader's first snapshot; all, in a replay
	LongestGap time.Duration `json:"longestGap"` // between two frames of a reader; in Idle, also since its last frame

	ServerCPU      time.Duration `json:"serverCPU"` // during the measurement; 0 in Idle, like GeneratorCPU, ReaderBusy and EndBytes
	GeneratorCPU   time.Duration `json:"generatorCPU"`
	ReaderBusy     float64       `json:"readerBusy"` // CPU time of the reading thread, as a fraction of the time; near 1 the thread was the bottleneck
	IdleBytes      int64         `json:"idleBytes"`  // growth of the server's resident memory while the readers connected
	EndBytes       int64         `json:"endBytes"`   // resident memory of the server at the end
	StalledCut     int           `json:"stalledCut"` // stalled readers that the server has cut off
	ConnectSeconds float64       `json:"connectSeconds"`
}

// Wrong returns the faults of the server, "" for none.
func (r Result) Wrong() string {
	var wrong []string
	for _, w := range []struct {
		n    int64
		what string
	}{
		{r.Refused, "messages refused"}, {r.Lost, "deliveries lost"}, {r.Twice, "duplicate deliveries"}, {r.Disorder, "frames out of order"},
		{r.Misnumber, "messages under another id than their POST was answered with"}, {int64(r.Cut), "readers cut"},
	} {
		if w.n > 0 {
			wrong = append(wrong, fmt.Sprintf("%d %s", w.n, w.what))
		}
	}
	if r.CutWhy != "" {
		wrong = append(wrong, "the first because "+r.CutWhy)
	}
	return strings.Join(wrong, ", ")
}
