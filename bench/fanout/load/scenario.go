//go:build linux

package load

import (
	"fmt"
	"strings"
	"time"
)

// Kind is what a Scenario does.
type Kind string

const (
	// Fanout publishes to readers that are there, or to none.
	Fanout Kind = "fanout"
	// Idle connects readers and leaves them alone.
	Idle Kind = "idle"
	// Replay publishes with nobody there, then has all readers resume from before the first message at once.
	Replay Kind = "replay"
)

// Scenario is one thing done to a server that was just started.
type Scenario struct {
	Kind       Kind          `json:"kind"`
	Readers    int           `json:"readers"`
	Stalled    int           `json:"stalled,omitempty"` // further readers, which take nothing once they are connected
	Publishers int           `json:"publishers,omitempty"`
	Messages   int           `json:"messages,omitempty"`
	Warm       int           `json:"warm,omitempty"`   // messages before them, which are not measured
	Size       int           `json:"size,omitempty"`   // bytes of a message; 400
	Rate       float64       `json:"rate,omitempty"`   // messages a second, from all publishers; 0: each as soon as its last is answered
	Within     time.Duration `json:"within,omitempty"` // posts what is due by then and no more; 0: all
	Hold       time.Duration `json:"hold,omitempty"`   // how long connected readers are left alone before memory is read
	Quiet      time.Duration `json:"quiet,omitempty"`  // gives up on what is missing when nothing came for so long; 5 s
}

// Connections is how many connections there are at once.
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

// Server is what a Scenario is done to.
type Server struct {
	Addr string // 127.0.0.1:port
	Flow string // "bench"
	PID  int    // whose CPU time and memory to read; 0: nobody's
}

// Result is what came of a Scenario. Durations are in nanoseconds.
type Result struct {
	Accepted int64 `json:"accepted"` // messages, those of the warm-up not among them
	Refused  int64 `json:"refused"`
	// PublishSeconds is from the first request to the last answer.
	PublishSeconds float64       `json:"publishSeconds"`
	PublishP50     time.Duration `json:"publishP50"`
	PublishP99     time.Duration `json:"publishP99"`

	Delivered int64 `json:"delivered"`
	// DeliverSeconds is from the first request to the last message at any reader; of a replay, from the first connection.
	DeliverSeconds float64       `json:"deliverSeconds"`
	P50            time.Duration `json:"p50"`
	P99            time.Duration `json:"p99"`
	P999           time.Duration `json:"p999"`
	Worst          time.Duration `json:"worst"`
	Bytes          int64         `json:"bytes"`

	Lost      int64  `json:"lost"`      // accepted, and neither delivered nor within a snapshot, summed over readers
	Twice     int64  `json:"twice"`     // delivered to a reader that had it
	Disorder  int64  `json:"disorder"`  // frames whose id is not above the one before
	Misnumber int64  `json:"misnumber"` // messages whose id is not what their POST was answered with
	Resyncs   int64  `json:"resyncs"`   // snapshots after a reader's first
	Covered   int64  `json:"covered"`   // messages that those snapshots stood for
	Cut       int    `json:"cut"`       // readers whose stream ended
	CutWhy    string `json:"cutWhy,omitempty"`

	Chunked    bool          `json:"chunked"`    // how streams are answered: chunked, or until the connection closes
	Heartbeats int64         `json:"heartbeats"` // after the first frame
	LongestGap time.Duration `json:"longestGap"` // between two frames of a reader

	ServerCPU      time.Duration `json:"serverCPU"` // while it was measured
	GeneratorCPU   time.Duration `json:"generatorCPU"`
	ReaderBusy     float64       `json:"readerBusy"` // share of the time that the reading thread ran; near 1 it was the limit
	IdleBytes      int64         `json:"idleBytes"`  // memory that the readers took, all together
	PeakBytes      int64         `json:"peakBytes"`  // resident at the end
	StalledCut     int           `json:"stalledCut"` // stalled readers that the server had cut by the end
	ConnectSeconds float64       `json:"connectSeconds"`
}

// Wrong says what no server may do, "" when nothing of it was done.
func (r Result) Wrong() string {
	var wrong []string
	for _, w := range []struct {
		n    int64
		what string
	}{
		{r.Refused, "messages refused"}, {r.Lost, "deliveries lost"}, {r.Twice, "deliveries made twice"}, {r.Disorder, "frames out of order"},
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
