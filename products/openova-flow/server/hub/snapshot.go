package hub

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// Snapshot is the folded state of a flow, or of one of its regions, as a snapshot message. The results of its methods are shared and must not be changed.
type Snapshot struct {
	Version
	*snapshot
}

// snapshot is a Snapshot, encoded once for all callers.
type snapshot struct {
	head        int64 // id of the frame; 0 for a region: no id
	incarnation string

	once    sync.Once
	message *flow.Message // unsorted; nil once it is encoded
	frame   []byte
	json    []byte // within frame

	zip    sync.Once
	zipped []byte

	tagged sync.Once
	tag    string
}

// JSON returns the message.
func (s *snapshot) JSON() []byte {
	s.encode()
	return s.json
}

// Gzip returns the message compressed (RFC 1952).
func (s *snapshot) Gzip() []byte {
	s.zip.Do(func() {
		var out bytes.Buffer
		w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed) // a valid level
		_, _ = w.Write(s.JSON())                          // writing to memory cannot fail
		_ = w.Close()
		s.zipped = out.Bytes()
	})
	return s.zipped
}

// Tag identifies the message within an incarnation of the flow. All hubs of a log have the same tag for the same state.
func (s *snapshot) Tag() string {
	s.tagged.Do(func() {
		sum := sha256.Sum256(s.JSON())
		s.tag = hex.EncodeToString(sum[:16])
	})
	return s.tag
}

func (s *snapshot) encode() {
	s.once.Do(func() {
		s.message.Sort()
		text := s.message.JSON()
		s.message = nil
		s.frame = appendFrame(make([]byte, 0, len(text)+64), s.head, string(flow.TypeSnapshot), text)
		s.json = s.frame[len(s.frame)-len(text)-2 : len(s.frame)-2]
	})
}

// tail returns the data of the encoded frame with the newlines that end it.
func (s *snapshot) tail() []byte { return s.frame[len(s.frame)-len(s.json)-2:] }

// snapshot returns the snapshot of the present head, which may not be encoded yet. t.mu is held, at least for reading, and there is a state.
func (t *topic) snapshot() *snapshot {
	if s := t.snap.Load(); s != nil {
		return s
	}
	t.snapMu.Lock()
	defer t.snapMu.Unlock()
	if s := t.snap.Load(); s != nil {
		return s
	}
	s := &snapshot{head: t.last, incarnation: t.incarnation, message: t.state.Collect()}
	t.snap.Store(s)
	return s
}

// Version identifies a state of a flow.
type Version struct {
	Seq         int64  // sequence number of the last message
	Regions     int64  // digest of the claims' state
	Incarnation string // NoIncarnation: the flow does not exist
}

// Version returns the present version of a flow. It never waits for a writer.
func (h *Hub) Version(flowID string) Version {
	if t := h.topic(flowID); t != nil {
		if name := t.headIncarnation.Load(); name != nil {
			return Version{Seq: t.headSeq.Load(), Regions: t.claimed.rev.Load(), Incarnation: *name}
		}
	}
	return Version{Incarnation: record.NoIncarnation}
}

// Snapshot returns the folded state of a flow, or ErrNoFlow. It is encoded when JSON, Gzip or Tag is called.
func (h *Hub) Snapshot(flowID string) (Snapshot, error) {
	return h.snapshot(flowID, (*topic).snapshot)
}

// RegionSnapshot returns the FlowInstance and the nodes and relationships of a region (flow.State.CollectRegion); or ErrNoFlow. Its cost depends on the size
// of the region, not of the flow. Like Snapshot it is encoded later.
func (h *Hub) RegionSnapshot(flowID, region string) (Snapshot, error) {
	return h.snapshot(flowID, func(t *topic) *snapshot { return t.regionSnaps.of(t.state, region) })
}

func (h *Hub) snapshot(flowID string, of func(*topic) *snapshot) (Snapshot, error) {
	t, err := h.read(flowID)
	if err != nil {
		return Snapshot{Version: Version{Incarnation: record.NoIncarnation}}, err
	}
	defer t.mu.RUnlock()
	return Snapshot{Version{t.last, t.claimed.rev.Load(), t.incarnation}, of(t)}, nil
}

// History has messages of a flow's ring, and the state before them.
type History struct {
	Base        json.RawMessage `json:"base"`    // the folded state just before the first of Events, as a snapshot message
	BaseSeq     int64           `json:"baseSeq"` // sequence number of the last message folded into Base; if there is none, one less than the flow's first
	Events      []Event         `json:"events"`
	Oldest      int64           `json:"oldest"` // sequence number of the oldest message held, 0 when the ring is empty
	Head        int64           `json:"head"`
	Incarnation string          `json:"-"`
}

// Event is one message of a History.
type Event struct {
	Seq     int64           `json:"seq"`
	At      int64           `json:"at"` // when it arrived, Unix milliseconds
	Message json.RawMessage `json:"message"`
}

// History returns the oldest limit (0: all) messages in the ring with sequence numbers above after, and the folded state just before the first; or
// ErrNoFlow.
func (h *Hub) History(flowID string, after int64, limit int) (History, error) {
	t, err := h.read(flowID)
	if err != nil {
		return History{Incarnation: record.NoIncarnation}, err
	}
	live := t.ring.live()
	wanted := t.ring.after(after)
	before := eventsOf(live[:len(live)-len(wanted)])
	if limit > 0 && len(wanted) > limit {
		wanted = wanted[:limit]
	}
	out := History{Head: t.last, Incarnation: t.incarnation, BaseSeq: cmp.Or(t.ring.evicted, t.born-1), Events: eventsOf(wanted)}
	if len(live) > 0 {
		out.Oldest = live[0].seq
	}
	base, later := t.base().Collect()
	t.mu.RUnlock()

	state := flow.NewState(flowID, 0)
	state.Apply(base)
	for _, text := range later {
		state.ApplyAgain(text)
	}
	for _, e := range before {
		state.ApplyAgain(string(e.Message))
		out.BaseSeq = e.Seq
	}
	base = state.Collect()
	base.Sort()
	out.Base = json.RawMessage(base.JSON())
	return out, nil
}

// eventsOf returns entries as Events, which may be read without the lock. t.mu is held, at least for reading, since push changes
// the length of a segment.
func eventsOf(entries []entry) []Event {
	events := make([]Event, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		events = append(events, Event{Seq: e.seq, At: e.at, Message: e.text()})
	}
	return events
}
