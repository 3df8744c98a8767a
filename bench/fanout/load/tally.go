//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// reader is one stream and what has arrived on it.
type reader struct {
	fd      atomic.Int64
	stalls  bool
	resumes bool

	last atomic.Int64 // copy of pos for other threads
	over atomic.Bool  // the stream ended

	head    []byte // response header, while it is incomplete
	body    body
	carry   []byte // an incomplete frame
	inBody  bool
	ready   bool
	pos     int64 // greatest id so far
	frameAt int64 // arrival of the last frame
	seen    []uint64
	gaps    []gap
	cut     string // why the stream ended

	cutWhileStalled bool
}

// gap is the range of ids that a snapshot replaced: greater than from, at most to.
type gap struct{ from, to int64 }

// tally counts the messages that readers receive. Times are in nanoseconds.
type tally struct {
	mark     []byte
	measured int     // index of the first message that counts for latency and throughput
	ids      []int64 // id of each message at the first reader that received it

	chunked    bool
	bytes      int64
	delivered  int64
	lastAt     int64 // arrival of the last message
	twice      int64
	outOfOrder int64
	otherID    int64
	resyncs    int64
	heartbeats int64
	longest    int64
	latency    histogram
}

// take handles bytes that arrived for a reader at an instant. The first kept bytes of b are the reader's carry, the others are new.
func (t *tally) take(r *reader, b []byte, kept int, at int64) error {
	t.bytes += int64(len(b) - kept)
	var whole []byte
	if r.inBody {
		whole = b[:kept+len(r.body.strip(b[kept:]))]
	} else {
		rest, err := t.header(r, b)
		if err != nil || !r.inBody {
			return err
		}
		whole = r.body.strip(rest)
	}
	for {
		f, rest, ok := cutFrame(whole)
		if !ok {
			break
		}
		t.frame(r, f, at)
		whole = rest
	}
	r.carry = append(r.carry[:0], whole...)
	if r.body.ended {
		return errors.New("the server ended the stream with a last chunk")
	}
	return nil
}

func (t *tally) header(r *reader, b []byte) (rest []byte, err error) {
	r.head = append(r.head, b...)
	i := bytes.Index(r.head, []byte("\r\n\r\n"))
	if i < 0 {
		return nil, nil
	}
	head := strings.ToLower(string(r.head[:i]))
	if !strings.HasPrefix(head, "http/1.1 200 ") {
		return nil, fmt.Errorf("answered with %q", r.head)
	}
	r.body.chunked = strings.Contains(head, "transfer-encoding: chunked")
	t.chunked = r.body.chunked
	r.inBody, r.ready = true, r.resumes
	rest = r.head[i+4:]
	r.head = nil
	return rest, nil
}

func (t *tally) frame(r *reader, f frame, at int64) {
	if r.frameAt > 0 && r.ready {
		t.longest = max(t.longest, at-r.frameAt)
	}
	r.frameAt = at
	if f.id == 0 {
		if r.ready && string(f.event) == "heartbeat" {
			t.heartbeats++
		}
		return
	}
	before := r.pos
	r.pos = max(r.pos, f.id)
	if kind := f.event[bytes.LastIndexByte(f.event, '/')+1:]; string(kind) == "snapshot" { // in a merged stream, the event follows the flow's id
		if r.ready {
			t.resyncs++
			r.gaps = append(r.gaps, gap{before, f.id})
		}
		r.ready = true
		return
	}
	if f.id <= before {
		t.outOfOrder++
	}
	index, sent, ok := readStamp(f.data, t.mark)
	if !ok || index >= len(t.ids) {
		return
	}
	if word, bit := &r.seen[index/64], uint64(1)<<(index%64); *word&bit != 0 {
		t.twice++
	} else {
		*word |= bit
	}
	switch t.ids[index] {
	case 0:
		t.ids[index] = f.id
	case f.id:
	default:
		t.otherID++
	}
	if index >= t.measured {
		t.delivered++
		t.latency.add(at - sent)
	}
	t.lastAt = at
}

// result writes the counts into res. accepted has the sequence number of each accepted message, 0 for the others. Every reader that does not stall must
// have received the accepted messages from index first on.
func (t *tally) result(all []*reader, accepted []int64, first int, res *Result) {
	res.Chunked, res.Bytes, res.Delivered = t.chunked, t.bytes, t.delivered
	res.Twice, res.Disorder, res.Misnumber, res.Resyncs = t.twice, t.outOfOrder, t.otherID, t.resyncs
	res.Heartbeats, res.LongestGap = t.heartbeats, time.Duration(t.longest)
	res.P50, res.P99, res.P999 = t.latency.quantile(.5), t.latency.quantile(.99), t.latency.quantile(.999)
	res.Worst = time.Duration(t.latency.most)
	for i, seq := range accepted {
		if seq != 0 && t.ids[i] != 0 && t.ids[i] != seq {
			res.Misnumber++
		}
	}
	for _, r := range all {
		if r.stalls {
			if r.cutWhileStalled {
				res.StalledCut++
			}
			continue
		}
		if r.cut != "" {
			if res.Cut++; res.CutWhy == "" {
				res.CutWhy = r.cut
			}
		}
		for i := first; i < len(accepted); i++ {
			if accepted[i] == 0 || r.seen[i/64]&(1<<(i%64)) != 0 {
				continue
			}
			if r.covers(accepted[i]) {
				res.Covered++
			} else {
				res.Lost++
			}
		}
	}
}

func (r *reader) covers(id int64) bool {
	for _, g := range r.gaps {
		if id > g.from && id <= g.to {
			return true
		}
	}
	return false
}
