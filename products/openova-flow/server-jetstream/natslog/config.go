package natslog

import (
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// Config configures a Log. The zero value of a field means its default.
type Config struct {
	Conn         *nats.Conn    // to a server or cluster with JetStream; required
	Name         string        // prefix of the stream, its subjects and the bucket; default "openova-flow"
	Replicas     int           // copies of stream and bucket in the cluster: 1, 3 or 5; default 1
	RingCapacity int           // messages in a flow's ring, as in hub.Config; default 4096
	RingBytes    int           // bytes in a flow's ring, as in hub.Config; default 8 MiB
	Timeout      time.Duration // limit for one operation, such as Append or Sync; default 5 s
	Logger       *slog.Logger  // default slog.Default()

	Acknowledged   uint64           // an entry known to be acknowledged: a stream that ends before it is damaged
	OnAcknowledged func(seq uint64) // called from any goroutine for each acknowledged entry, before Append returns
	OnRejected     func() error     // called at each check once JetStream has rejected several changes in a row; an error ends Run
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "openova-flow"
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.RingCapacity == 0 {
		c.RingCapacity = 4096
	}
	if c.RingBytes == 0 {
		c.RingBytes = 8 << 20
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

const (
	// maxInFlight is how many entries one Log publishes at once.
	maxInFlight = 256
	// spareEntries is how many entries of a flow the stream keeps beyond two rings: those in flight from up to 16 logs, and those that
	// arrive while a checkpoint is written.
	spareEntries = 16 * maxInFlight
)

// maxEntries is how many entries of a flow the stream keeps at most. Entries that no ring needs are purged earlier.
func (c Config) maxEntries() int { return 2*c.RingCapacity + spareEntries }

// A flow gets a checkpoint after this many entries or bytes.
func (c Config) checkpointEntries() int { return max(c.RingCapacity/4, 1) }
func (c Config) checkpointBytes() int   { return c.RingBytes / 4 }
