package natslog

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// The bucket has two kinds of keys: the head of a flow, which lists its checkpoints and is only replaced by compare-and-set, and the data
// of a checkpoint, written once, before the head lists it, in as many pieces as payloads need.
const (
	headKind = "h."
	dataKind = "d."

	lossKind = "x." // of a note that the stream has lost entries

	barrierPrefix = "b." // written, to read what was written before
)

// keys is what the keys of a kind begin with. Those of another stream of this name are others: what came after them is lost with it.
func (l *Log) keys(kind string) string { return kind + l.identity + "." }

func (l *Log) headOf(flowID string) string { return l.keys(headKind) + token(flowID) }

// head lists the checkpoints of a flow, oldest first. That of a flow that was deleted lists none. It is written over the one before: when NATS
// recovers after a kill, a purged key may have an earlier revision again, and a revision that is written last is the newest.
type head struct {
	Marks    []mark `json:"checkpoints"`
	Ended    uint64 `json:"ended,omitempty"` // the entry that ended the flow last
	revision uint64
	created  time.Time
}

// mark is one checkpoint.
type mark struct {
	Seq    uint64 `json:"seq"`   // the entry of the log that it is current to
	Last   uint64 `json:"last"`  // the last entry of the flow up to there
	First  uint64 `json:"first"` // the entry before which there is nothing of the flow
	Data   string `json:"data"`  // prefix of the keys of its data
	Pieces int    `json:"pieces"`

	Entries int64 `json:"entries,omitempty"` // of the flow, from First up to it; 0: not known

	// What the ring got from First up to it: messages, and their bytes.
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"`
}

// oldest is the entry that the oldest checkpoint is current to, 0 when there is none.
func (h head) oldest() uint64 {
	if len(h.Marks) == 0 {
		return 0
	}
	return h.Marks[0].Seq
}

func decodeHead(e jetstream.KeyValueEntry) (flowID string, h head, err error) {
	flowID = flowOf(e.Key()[strings.LastIndexByte(e.Key(), '.')+1:])
	h.revision, h.created = e.Revision(), e.Created()
	if e.Operation() != jetstream.KeyValuePut {
		return flowID, h, nil
	}
	if err := json.Unmarshal(e.Value(), &h); err != nil {
		return flowID, h, fmt.Errorf("read the checkpoints of flow %s: %w", flowID, err)
	}
	return flowID, h, nil
}

// list returns the heads of all flows as they are now, or later. A server that answers may be behind the others, so what it says counts
// only once it has what was just written.
func (k *keeper) list(ctx context.Context) (map[string]head, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	barrier := barrierPrefix + k.log.name
	revision, err := k.log.bucket.Put(ctx, barrier, nil)
	if err != nil {
		return nil, err
	}
	w, err := k.log.bucket.WatchFiltered(ctx, []string{k.log.keys(headKind) + ">", barrier})
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Stop() }()
	all := make(map[string]head)
	for reached, listed := false, false; !reached || !listed; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return nil, errors.New("the list of checkpoints ended early")
			case e == nil:
				listed = true
			case e.Key() == barrier:
				reached = reached || e.Revision() >= revision
			default:
				flowID, h, err := decodeHead(e)
				if err != nil {
					return nil, err
				}
				all[flowID] = h
			}
		}
	}
	return all, k.purge(ctx, barrier)
}

// get returns the head of a flow, an empty one when there is none. It may be one that has been replaced.
func (k *keeper) get(ctx context.Context, flowID string) (h head, err error) {
	e, err := k.log.bucket.Get(ctx, k.log.headOf(flowID))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return head{}, nil
	}
	if err != nil {
		return head{}, err
	}
	_, h, err = decodeHead(e)
	return h, err
}

// write puts a checkpoint into the bucket and returns the head that then holds, which is another's when that is newer.
func (k *keeper) write(ctx context.Context, c *hub.Checkpoint, m mark) (head, error) {
	l := k.log
	var data bytes.Buffer
	z := gzip.NewWriter(&data)
	out := record.NewStateWriter(z)
	if err := errors.Join(out.Write(c), out.Close(c.Seq), z.Close()); err != nil {
		return head{}, err
	}
	// No two writes share a key, nor two of one entry: the one that is not listed is dropped.
	m.Data = fmt.Sprintf("%s%s.%d.%s-%d.", l.keys(dataKind), token(c.FlowID), m.Seq, l.name, l.tokens.Add(1))
	for piece := range slices.Chunk(data.Bytes(), int(l.cfg.Conn.MaxPayload())-headRoom) {
		if _, err := l.bucket.Put(ctx, m.Data+fmt.Sprint(m.Pieces), piece); err != nil {
			return head{}, err
		}
		m.Pieces++
	}
	for {
		h, err := k.get(ctx, c.FlowID)
		if err != nil {
			return head{}, err
		}
		was := h.oldest()
		dropped := h.add(m, l.cfg)
		if dropped == nil {
			if slices.ContainsFunc(h.Marks, func(o mark) bool { return o.Data == m.Data }) {
				return h, nil // it was taken, and the answer got lost
			}
			return h, k.purge(ctx, m.Data+">")
		}
		text, err := json.Marshal(h)
		if err != nil {
			return head{}, err
		}
		if h.revision == 0 {
			h.revision, err = l.bucket.Create(ctx, l.headOf(c.FlowID), text)
		} else {
			h.revision, err = l.bucket.Update(ctx, l.headOf(c.FlowID), text, h.revision)
		}
		if errors.Is(err, jetstream.ErrKeyExists) || isConflict(err) {
			continue // another replica was first: see what holds now
		}
		if err != nil {
			return head{}, err
		}
		for _, old := range dropped {
			if err := k.purge(ctx, old.Data+">"); err != nil {
				return h, err
			}
		}
		// What is before the oldest is of use to nobody, but for one entry: as long as that is there, nothing after it is missing.
		if was != 0 && h.oldest() != was {
			return h, l.stream.Purge(ctx, jetstream.WithPurgeSubject(l.subjectOf(c.FlowID)), jetstream.WithPurgeSequence(h.Marks[0].Last))
		}
		return h, nil
	}
}

func isConflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// add lists a checkpoint and returns those that are not kept any more, nil when there is one already that is as new. What is kept reaches
// over the ring, and no further apart than a checkpoint is due.
func (h *head) add(m mark, cfg Config) (dropped []mark) {
	dropped = []mark{}
	if n := len(h.Marks); n > 0 && h.Marks[n-1].Seq >= m.Seq || m.Seq <= h.Ended {
		return nil
	}
	marks := append(slices.Clone(h.Marks), m)
	apart := func(i, j int, messages, bytes int) bool {
		return marks[j].Messages-marks[i].Messages >= int64(messages) || marks[j].Bytes-marks[i].Bytes >= int64(bytes)
	}
	drop := func(i int) {
		dropped = append(dropped, marks[i])
		marks = slices.Delete(marks, i, i+1)
	}
	for len(marks) > 1 && marks[0].Seq < m.First { // of a flow that was deleted
		drop(0)
	}
	for len(marks) > 2 && apart(1, len(marks)-1, cfg.RingCapacity, cfg.RingBytes) {
		drop(0)
	}
	for i := 1; i < len(marks)-1; {
		if apart(i-1, i+1, cfg.everyEntries()+1, cfg.everyBytes()+1) {
			i++
		} else {
			drop(i)
		}
	}
	h.Marks = marks
	return dropped
}

// purge removes keys without leaving a trace of each.
func (k *keeper) purge(ctx context.Context, keys string, options ...jetstream.StreamPurgeOpt) error {
	s, err := k.log.js.Stream(ctx, "KV_"+k.log.bucketName())
	if err != nil {
		return err
	}
	return s.Purge(ctx, append(options, jetstream.WithPurgeSubject("$KV."+k.log.bucketName()+"."+keys))...)
}

var errUnreadable = errors.New("the data is damaged")

// read returns a checkpoint. It fails with ErrKeyNotFound or errUnreadable when that can't be read by trying again.
func (k *keeper) read(ctx context.Context, flowID string, m mark) (*hub.Checkpoint, error) {
	var data bytes.Buffer
	for i := range m.Pieces {
		e, err := k.log.bucket.Get(ctx, m.Data+fmt.Sprint(i))
		if err != nil {
			return nil, fmt.Errorf("checkpoint %d of flow %s: %w", m.Seq, flowID, err)
		}
		data.Write(e.Value())
	}
	z, err := gzip.NewReader(&data)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %d of flow %s: %w: %w", m.Seq, flowID, errUnreadable, err)
	}
	s, err := record.ReadState(z)
	if errors.Is(err, record.ErrNewerState) {
		return nil, fatal("checkpoint %d of flow %s: %w", m.Seq, flowID, err)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint %d of flow %s: %w: %w", m.Seq, flowID, errUnreadable, err)
	}
	if len(s.Flows) != 1 || s.Flows[0].FlowID != flowID {
		return nil, fmt.Errorf("checkpoint %d of flow %s: %w: it is of another flow", m.Seq, flowID, errUnreadable)
	}
	return s.Flows[0], nil
}

// forget drops what is kept of a flow that entry seq has ended, but for that entry: who is behind must learn of it.
func (k *keeper) forget(flowID string, seq uint64) {
	l := k.log
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Timeout)
	defer cancel()
	err := errors.Join(
		l.stream.Purge(ctx, jetstream.WithPurgeSubject(l.subjectOf(flowID)), jetstream.WithPurgeSequence(seq)),
		k.drop(ctx, flowID, seq))
	if err != nil {
		l.cfg.Logger.Warn("what was kept of a deleted flow is not dropped", "flow", flowID, "err", err)
	}
}

// drop replaces the head of a flow that entry seq has ended by one that lists nothing, and removes the data.
func (k *keeper) drop(ctx context.Context, flowID string, seq uint64) error {
	for {
		h, err := k.get(ctx, flowID)
		if err != nil || len(h.Marks) == 0 || h.Marks[len(h.Marks)-1].Seq > seq {
			return err
		}
		text, err := json.Marshal(head{Marks: []mark{}, Ended: max(seq, h.Ended)})
		if err != nil {
			return err
		}
		if _, err = k.log.bucket.Update(ctx, k.log.headOf(flowID), text, h.revision); isConflict(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, m := range h.Marks {
			err = errors.Join(err, k.purge(ctx, m.Data+">"))
		}
		return err
	}
}

// endedKept is how long the head of a flow that was deleted is kept.
const endedKept = 24 * time.Hour

// sweep removes heads of flows that were deleted long ago. NATS may bring back an earlier revision of one: its data is gone, and the stream has
// the entry that ended the flow, so who loads it passes over it.
func (k *keeper) sweep(ctx context.Context, heads map[string]head) {
	for flowID, h := range heads {
		if h.revision == 0 || len(h.Marks) > 0 || h.created.IsZero() || time.Since(h.created) < endedKept {
			continue
		}
		if err := k.purge(ctx, k.log.headOf(flowID), jetstream.WithPurgeSequence(h.revision+1)); err != nil { // and no later one
			k.log.cfg.Logger.Warn("head of a deleted flow not removed", "flow", flowID, "err", err)
			return
		}
	}
}
