package hub

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"sync"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// snapshot is the folded state at one head, encoded once for all who ask for it.
type snapshot struct {
	head        int64
	incarnation string

	once    sync.Once
	message *flow.Message // unsorted; nil once it is encoded
	frame   []byte
	json    []byte // within frame

	zip    sync.Once
	zipped []byte
}

// gzip returns the JSON compressed (RFC 1952).
func (s *snapshot) gzip() []byte {
	s.zip.Do(func() {
		s.encode()
		var out bytes.Buffer
		w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed) // a level that there is
		_, _ = w.Write(s.json)                            // to memory, like Close: it cannot fail
		_ = w.Close()
		s.zipped = out.Bytes()
	})
	return s.zipped
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

// tail returns the data of the frame, once it is encoded, and what ends it.
func (s *snapshot) tail() []byte { return s.frame[len(s.frame)-len(s.json)-2:] }

// snapshot returns the one of the present head. t.mu is held, for reading at least, and there is a state. Encoding is left for
// when the lock is released.
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

// Version tells one state of a flow from another.
type Version struct {
	Seq         int64  // the number that the flow is current to
	Regions     int64  // tells what is said of its regions apart
	Incarnation string // NoIncarnation: the flow does not exist
}

// Snapshot is the folded state of a flow.
type Snapshot struct {
	Version
	shared *snapshot
}

// JSON returns the state as a snapshot message. It may be shared and must not be changed.
func (s Snapshot) JSON() []byte {
	s.shared.encode()
	return s.shared.json
}

// Gzip returns the same, compressed (RFC 1952). It may be shared and must not be changed.
func (s Snapshot) Gzip() []byte { return s.shared.gzip() }

// Version returns the present version of a flow, without waiting for anybody who writes to it.
func (h *Hub) Version(flowID string) Version {
	t := h.topic(flowID)
	if t == nil {
		return Version{Incarnation: NoIncarnation}
	}
	name := t.named.Load()
	if name == nil {
		return Version{Incarnation: NoIncarnation}
	}
	return Version{Seq: t.seen.Load(), Regions: t.rev.Load(), Incarnation: *name}
}

// Snapshot returns the folded state of a flow, or ErrNoFlow. Encoding waits until its JSON is asked for.
func (h *Hub) Snapshot(flowID string) (Snapshot, error) {
	t := h.topic(flowID)
	if t == nil {
		return Snapshot{Version: Version{Incarnation: NoIncarnation}}, ErrNoFlow
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.state == nil {
		return Snapshot{Version: Version{Incarnation: NoIncarnation}}, ErrNoFlow
	}
	return Snapshot{Version: Version{t.last, t.rev.Load(), t.incarnation}, shared: t.snapshot()}, nil
}

// History is what a flow still holds of its past.
type History struct {
	Base        json.RawMessage `json:"base"`    // the folded state just before the first of Events, as a snapshot message
	BaseSeq     int64           `json:"baseSeq"` // the number that Base is current to
	Events      []Event         `json:"events"`
	Oldest      int64           `json:"oldest"` // the oldest number held, 0 when the ring is empty
	Head        int64           `json:"head"`
	Incarnation string          `json:"-"`
}

// Event is one message of the past.
type Event struct {
	Seq     int64           `json:"seq"`
	At      int64           `json:"at"` // when it arrived, Unix milliseconds
	Message json.RawMessage `json:"message"`
}

// History returns the messages numbered above after that are still held, the oldest limit of them (0: all), and the folded
// state just before the first; or ErrNoFlow.
func (h *Hub) History(flowID string, after int64, limit int) (History, error) {
	t := h.topic(flowID)
	if t == nil {
		return History{Incarnation: NoIncarnation}, ErrNoFlow
	}
	t.mu.RLock()
	if t.state == nil {
		t.mu.RUnlock()
		return History{Incarnation: NoIncarnation}, ErrNoFlow
	}
	live := t.ring.live()
	wanted := t.ring.after(after)
	before := append([]entry(nil), live[:len(live)-len(wanted)]...)
	if limit > 0 && len(wanted) > limit {
		wanted = wanted[:limit]
	}
	wanted = append([]entry(nil), wanted...)
	out := History{Head: t.last, Incarnation: t.incarnation, BaseSeq: t.ring.evicted, Events: make([]Event, 0, len(wanted))}
	if out.BaseSeq == 0 {
		out.BaseSeq = t.born - 1
	}
	if len(live) > 0 {
		out.Oldest = live[0].seq
	}
	born := t.state.Arrival()
	past := t.past
	if past == nil {
		past = t.nothing()
	}
	base := past.Collect()
	t.mu.RUnlock()

	if len(before) > 0 {
		state := flow.NewState(flowID, born)
		state.Apply(base)
		for _, e := range before {
			state.Apply(e.message(flowID))
			out.BaseSeq = e.seq
		}
		base = state.Collect()
	}
	base.Sort()
	out.Base = json.RawMessage(base.JSON())
	for _, e := range wanted {
		out.Events = append(out.Events, Event{Seq: e.seq, At: e.at, Message: e.text()})
	}
	return out, nil
}
