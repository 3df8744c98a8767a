package hub

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const (
	minSegment = 384
	maxSegment = 64 << 10
)

// segment is a buffer of encoded frames. Written bytes never change, so readers may hold slices of it without a lock; taking a slice needs t.mu.
type segment struct{ buf []byte }

// entry is one message of the ring, as an encoded frame.
type entry struct {
	seq, at        int64
	seg            *segment
	from, data, to int32 // seg.buf[from:to] is the frame; the message in it starts at data
	node, nodeLen  int32 // seg.buf[node:node+nodeLen] is the message's SingleNode; empty if it has none, or one with escapes
}

func (e *entry) frame() []byte { return e.seg.buf[e.from:e.to] }

// text returns the JSON of the message. It is shared and must not be changed.
func (e *entry) text() []byte { return e.seg.buf[e.data : e.to-2 : e.to-2] }

// ring holds the last messages of a flow, bounded by number and by bytes of their frames.
type ring struct {
	maxEntries, maxBytes int

	entries []entry // oldest first, from start on
	start   int
	bytes   int
	evicted int64 // sequence number of the newest message that left the ring or, in a restored flow, was never in it; 0 when there is none
}

func (r *ring) live() []entry { return r.entries[r.start:] }

// overhead is the approximate memory of the ring without its frames.
func (r *ring) overhead() int64 {
	const perEntry = 100
	return perEntry * int64(len(r.live()))
}

// push adds a message and returns its entry. It calls drop with each evicted entry, oldest first.
func (r *ring) push(seq, at int64, m *flow.Message, drop func(entry)) entry {
	event, text, node := string(m.Type), m.JSON(), m.SingleNode()
	seg := r.room(len(text) + len(event) + 48)
	from := len(seg.buf)
	seg.buf = appendFrame(seg.buf, seq, event, text)
	e := entry{seq: seq, at: at, seg: seg, from: int32(from), to: int32(len(seg.buf))}
	e.data = e.to - int32(len(text)) - 2
	if at := strings.Index(text, node); at >= 0 {
		e.node, e.nodeLen = e.data+int32(at), int32(len(node))
	}
	r.entries = append(r.entries, e)
	r.bytes += len(seg.buf) - from
	for len(r.live()) > r.maxEntries || r.bytes > r.maxBytes {
		e := &r.entries[r.start]
		drop(*e)
		r.bytes -= int(e.to - e.from)
		r.evicted = e.seq
		*e = entry{}
		r.start++
	}
	if r.start > len(r.entries)/2 && r.start > 16 {
		r.entries, r.start = slices.Delete(r.entries, 0, r.start), 0
	}
	return e
}

// room returns a segment with room for n bytes: the newest one, or a new one. A new one is twice as large as the newest, up to maxSegment, or minSegment large
// if the ring is empty, but at least n bytes large.
func (r *ring) room(n int) *segment {
	size := minSegment
	if live := r.live(); len(live) > 0 {
		last := live[len(live)-1].seg
		if cap(last.buf)-len(last.buf) >= n {
			return last
		}
		size = min(2*cap(last.buf), maxSegment)
	}
	return &segment{buf: make([]byte, 0, max(size, n))}
}

func (r *ring) has(seq int64) bool {
	_, found := slices.BinarySearchFunc(r.live(), seq, func(e entry, seq int64) int { return cmp.Compare(e.seq, seq) })
	return found
}

func (r *ring) after(seq int64) []entry {
	live := r.live()
	return live[sort.Search(len(live), func(i int) bool { return live[i].seq > seq }):]
}

// frames returns the frames of the first n entries, in few contiguous slices: up to about limit bytes, but at least one frame if there are entries.
func frames(entries []entry, limit int) (out [][]byte, n int) {
	size := 0
	for n < len(entries) && (n == 0 || size < limit) {
		first := entries[n]
		last := first
		for n++; n < len(entries) && entries[n].seg == first.seg && size+int(last.to-first.from) < limit; n++ {
			last = entries[n]
		}
		size += int(last.to - first.from)
		out = append(out, first.seg.buf[first.from:last.to:last.to])
	}
	return out, n
}
