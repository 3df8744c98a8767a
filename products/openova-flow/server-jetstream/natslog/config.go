package natslog

import (
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// Config is what a Log is made of. The zero value of a field means its default.
type Config struct {
	Conn         *nats.Conn    // to a server or cluster with JetStream; must be given
	Name         string        // prefix of the stream, its subjects and the bucket; "openova-flow"
	Replicas     int           // copies of stream and bucket in the cluster, 1, 3 or 5; 1
	RingCapacity int           // as the hub's; 4096
	RingBytes    int           // as the hub's; 8 MiB
	Timeout      time.Duration // how long Append and Sync may take; 5 s
	Logger       *slog.Logger  // slog.Default()

	Acknowledged   uint64           // an entry that is known to have been acknowledged: a stream that ends before it is damaged
	OnAcknowledged func(seq uint64) // called, from any goroutine, when an entry has been acknowledged and before anybody is told
	Hopeless       func() error     // asked while JetStream takes no changes; an error ends the log
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
	// spare is how many entries the stream keeps of a flow besides its ring: those in flight, of as many as 16 logs, and as many as
	// come while a checkpoint is being written.
	spare = 16 * maxInFlight
)

// held is how many entries of a flow the stream keeps at most. Those that no ring needs are purged sooner.
func (c Config) held() int { return 2*c.RingCapacity + spare }

// everyEntries and everyBytes are after how much a flow gets a checkpoint.
func (c Config) everyEntries() int { return max(c.RingCapacity/4, 1) }
func (c Config) everyBytes() int   { return c.RingBytes / 4 }
