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

	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// The bucket has two main kinds of keys: the list of a flow's checkpoints, replaced by compare-and-set only, and the data of a checkpoint,
// written once, before the list names it, in as many pieces as the payload limit requires.
const (
	listKind   = "h."
	dataKind   = "d."
	damageKind = "x." // a note that the stream has lost entries

	barrierPrefix = "b." // a key written to make sure that a reader has all earlier writes
)

// keys returns the prefix of all keys of a kind. It contains the stream's identity: checkpoints of an earlier stream of the same name are not used.
func (l *Log) keys(kind string) string { return kind + l.identity + "." }

func (l *Log) listKey(flowID string) string { return l.keys(listKind) + tokenOf(flowID) }

// checkpointList lists the checkpoints of a flow, oldest first. The list of a deleted flow is emptied, not removed at once: when NATS recovers from a kill,
// a purged key may come back with an earlier revision, but the last written revision wins.
type checkpointList struct {
	Checkpoints []checkpointRef `json:"checkpoints"`
	Ended       uint64          `json:"ended,omitempty"` // the entry that deleted the flow when the list was last emptied
	revision    uint64
	created     time.Time
}

// checkpointRef describes one checkpoint.
type checkpointRef struct {
	Seq    uint64 `json:"seq"`   // the entry of the log up to which the checkpoint is current
	Last   uint64 `json:"last"`  // the last entry of the flow up to Seq
	First  uint64 `json:"first"` // the entry that created the flow
	Data   string `json:"data"`  // prefix of the data's keys
	Pieces int    `json:"pieces"`

	Entries int64 `json:"entries,omitempty"` // entries of the flow from First to Seq; 0: unknown

	// Messages and bytes pushed to the ring from First to Seq.
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"`
}

// oldest returns the Seq of the oldest checkpoint, 0 for none.
func (c checkpointList) oldest() uint64 {
	if len(c.Checkpoints) == 0 {
		return 0
	}
	return c.Checkpoints[0].Seq
}

// newest returns the Seq of the newest checkpoint, 0 for none.
func (c checkpointList) newest() uint64 {
	if len(c.Checkpoints) == 0 {
		return 0
	}
	return c.Checkpoints[len(c.Checkpoints)-1].Seq
}

func decodeList(e jetstream.KeyValueEntry) (flowID string, list checkpointList, err error) {
	flowID = flowOfToken(e.Key()[strings.LastIndexByte(e.Key(), '.')+1:])
	list.revision, list.created = e.Revision(), e.Created()
	if e.Operation() != jetstream.KeyValuePut {
		return flowID, list, nil
	}
	if err := json.Unmarshal(e.Value(), &list); err != nil {
		return flowID, list, fmt.Errorf("decode checkpoint list of flow %s: %w", flowID, err)
	}
	return flowID, list, nil
}

// errBucketSilent says that the bucket took a write, but does not deliver all its entries. NATS does not deliver an entry that it cannot read from its
// files.
var errBucketSilent = errors.New("the bucket delivers only a part of its entries")

// listSilence is how long the bucket may deliver nothing while lists reads it.
const listSilence = 15 * time.Second

// lists returns the current checkpoint lists by flow. The answering NATS server may be behind the others, so lists writes a barrier key first
// and reads until it has seen it.
func (k *checkpointer) lists(ctx context.Context) (map[string]checkpointList, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	barrier := barrierPrefix + k.log.name
	revision, err := k.log.bucket.Put(ctx, barrier, nil)
	if err != nil {
		return nil, err
	}
	w, err := k.log.bucket.WatchFiltered(ctx, []string{k.log.keys(listKind) + ">", barrier})
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Stop() }()
	all := make(map[string]checkpointList)
	silence := time.NewTimer(listSilence)
	defer silence.Stop()
	for current, complete := false, false; !current || !complete; silence.Reset(listSilence) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-silence.C:
			return nil, fmt.Errorf("list checkpoints, %d read: %w", len(all), errBucketSilent)
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return nil, errors.New("list checkpoints: the watch ended early")
			case e == nil:
				complete = true
			case e.Key() == barrier:
				current = current || e.Revision() >= revision
			default:
				flowID, list, err := decodeList(e)
				if err != nil {
					return nil, err
				}
				all[flowID] = list
			}
		}
	}
	return all, k.purge(ctx, barrier)
}

// list returns the checkpoint list of a flow, an empty one if there is none. It may be outdated.
func (k *checkpointer) list(ctx context.Context, flowID string) (list checkpointList, err error) {
	e, err := k.log.bucket.Get(ctx, k.log.listKey(flowID))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return checkpointList{}, nil
	}
	if err != nil {
		return checkpointList{}, err
	}
	_, list, err = decodeList(e)
	return list, err
}

// write writes a checkpoint and returns the list that is then current. It discards the checkpoint if the list has one that is as new, or an Ended
// that shows a later deletion. Old checkpoints and entries that it cannot remove are no error.
func (k *checkpointer) write(ctx context.Context, c *record.Checkpoint, ref checkpointRef) (checkpointList, error) {
	l := k.log
	var data bytes.Buffer
	z := gzip.NewWriter(&data)
	out := record.NewStateWriter(z)
	if err := errors.Join(out.Write(c), out.Close(c.Seq), z.Close()); err != nil {
		return checkpointList{}, err
	}
	// Each write has its own keys, even if two are for the same entry: only one of them is listed, and the keys of the other are removed.
	ref.Data = fmt.Sprintf("%s%s.%d.%s-%d.", l.keys(dataKind), tokenOf(c.FlowID), ref.Seq, l.name, l.tokens.Add(1))
	for piece := range slices.Chunk(data.Bytes(), int(l.cfg.Conn.MaxPayload())-headerRoom) {
		if _, err := l.bucket.Put(ctx, ref.Data+fmt.Sprint(ref.Pieces), piece); err != nil {
			return checkpointList{}, err
		}
		ref.Pieces++
	}
	for {
		list, err := k.list(ctx, c.FlowID)
		if err != nil {
			return checkpointList{}, err
		}
		oldestBefore := list.oldest()
		removed := list.add(ref, l.cfg)
		if removed == nil {
			if slices.ContainsFunc(list.Checkpoints, func(o checkpointRef) bool { return o.Data == ref.Data }) {
				return list, nil // a previous attempt succeeded, but its answer was lost
			}
			if err := k.purge(ctx, ref.Data+">"); err != nil {
				l.cfg.Logger.Warn("discarded checkpoint not removed", "flow", c.FlowID, "err", err)
			}
			return list, nil
		}
		text, err := json.Marshal(list)
		if err != nil {
			return checkpointList{}, err
		}
		if list.revision == 0 {
			list.revision, err = l.bucket.Create(ctx, l.listKey(c.FlowID), text)
		} else {
			list.revision, err = l.bucket.Update(ctx, l.listKey(c.FlowID), text, list.revision)
		}
		if errors.Is(err, jetstream.ErrKeyExists) || isConflict(err) {
			continue // another replica was faster: read its list
		}
		if err != nil {
			return checkpointList{}, err
		}
		for _, old := range removed {
			err = errors.Join(err, k.purge(ctx, old.Data+">"))
		}
		// Entries before the last one of the oldest checkpoint are not needed. That one stays: it shows that the stream has dropped no later entry of the
		// flow. The first checkpoint of an incarnation does not cover the ring, so the entries before it stay; dropEnded removes those of the incarnation
		// before.
		if oldestBefore >= max(ref.First, 1) && list.oldest() != oldestBefore {
			err = errors.Join(err, l.stream.Purge(ctx, jetstream.WithPurgeSubject(l.subjectOf(c.FlowID)), jetstream.WithPurgeSequence(list.Checkpoints[0].Last)))
		}
		if err != nil {
			l.cfg.Logger.Warn("old checkpoints or entries not removed", "flow", c.FlowID, "err", err)
		}
		return list, nil
	}
}

func isConflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// add appends a checkpoint and returns those that it has removed from the list. It returns nil, and adds nothing, if the list has one that is as new, or
// an Ended that shows a later deletion. It removes those of earlier incarnations, and those that neither the ring nor the checkpoint interval
// needs.
func (c *checkpointList) add(ref checkpointRef, cfg Config) (removed []checkpointRef) {
	removed = []checkpointRef{}
	if c.newest() >= ref.Seq || ref.Seq <= c.Ended {
		return nil
	}
	refs := append(slices.Clone(c.Checkpoints), ref)
	apart := func(i, j int, messages, bytes int) bool {
		return refs[j].Messages-refs[i].Messages >= int64(messages) || refs[j].Bytes-refs[i].Bytes >= int64(bytes)
	}
	remove := func(i int) {
		removed = append(removed, refs[i])
		refs = slices.Delete(refs, i, i+1)
	}
	for len(refs) > 1 && refs[0].Seq < ref.First { // of an earlier incarnation
		remove(0)
	}
	for len(refs) > 2 && apart(1, len(refs)-1, cfg.RingCapacity, cfg.RingBytes) {
		remove(0)
	}
	for i := 1; i < len(refs)-1; {
		if apart(i-1, i+1, cfg.checkpointEntries()+1, cfg.checkpointBytes()+1) {
			i++
		} else {
			remove(i)
		}
	}
	c.Checkpoints = refs
	return removed
}

// purge removes keys without leaving delete markers.
func (k *checkpointer) purge(ctx context.Context, keys string, options ...jetstream.StreamPurgeOpt) error {
	s, err := k.log.js.Stream(ctx, "KV_"+k.log.bucketName())
	if err != nil {
		return err
	}
	return s.Purge(ctx, append(options, jetstream.WithPurgeSubject("$KV."+k.log.bucketName()+"."+keys))...)
}

var errUnreadable = errors.New("the data is damaged")

// read returns a checkpoint. A retry cannot fix ErrKeyNotFound, errUnreadable and a fatalError.
func (k *checkpointer) read(ctx context.Context, flowID string, ref checkpointRef) (*record.Checkpoint, error) {
	var data bytes.Buffer
	for i := range ref.Pieces {
		e, err := k.log.bucket.Get(ctx, ref.Data+fmt.Sprint(i))
		if err != nil {
			return nil, fmt.Errorf("read checkpoint %d of flow %s: %w", ref.Seq, flowID, err)
		}
		data.Write(e.Value())
	}
	z, err := gzip.NewReader(&data)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint %d of flow %s: %w: %w", ref.Seq, flowID, errUnreadable, err)
	}
	s, err := record.ReadState(z)
	if errors.Is(err, record.ErrNewerState) {
		return nil, fatal("read checkpoint %d of flow %s: %w", ref.Seq, flowID, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint %d of flow %s: %w: %w", ref.Seq, flowID, errUnreadable, err)
	}
	if len(s.Flows) != 1 || s.Flows[0].FlowID != flowID {
		return nil, fmt.Errorf("read checkpoint %d of flow %s: %w: it must contain this flow and no other", ref.Seq, flowID, errUnreadable)
	}
	return s.Flows[0], nil
}

// dropEnded removes the entries and checkpoints of a flow that entry seq has deleted. Entry seq itself stays: replicas that are behind need it.
func (k *checkpointer) dropEnded(flowID string, seq uint64) {
	l := k.log
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Timeout)
	defer cancel()
	err := errors.Join(
		l.stream.Purge(ctx, jetstream.WithPurgeSubject(l.subjectOf(flowID)), jetstream.WithPurgeSequence(seq)),
		k.clearList(ctx, flowID, seq))
	if err != nil {
		l.cfg.Logger.Warn("entries or checkpoints of a deleted flow not removed", "flow", flowID, "err", err)
	}
}

// clearList empties the checkpoint list of a flow that entry seq has deleted, and removes the checkpoints' data. A list with a later checkpoint stays.
func (k *checkpointer) clearList(ctx context.Context, flowID string, seq uint64) error {
	for {
		list, err := k.list(ctx, flowID)
		if err != nil || len(list.Checkpoints) == 0 || list.newest() > seq {
			return err
		}
		text, err := json.Marshal(checkpointList{Checkpoints: []checkpointRef{}, Ended: max(seq, list.Ended)})
		if err != nil {
			return err
		}
		if _, err = k.log.bucket.Update(ctx, k.log.listKey(flowID), text, list.revision); isConflict(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, ref := range list.Checkpoints {
			err = errors.Join(err, k.purge(ctx, ref.Data+">"))
		}
		return err
	}
}

// emptyListAge is the age from which the empty checkpoint list of a deleted flow is removed.
const emptyListAge = 24 * time.Hour

// removeEmptyLists removes old lists of deleted flows. NATS may bring back an earlier revision of one, whose data is gone. Loading ignores it,
// since the stream still has the entry that deleted the flow.
func (k *checkpointer) removeEmptyLists(ctx context.Context, lists map[string]checkpointList) {
	for flowID, list := range lists {
		if list.revision == 0 || len(list.Checkpoints) > 0 || list.created.IsZero() || time.Since(list.created) < emptyListAge {
			continue
		}
		if err := k.purge(ctx, k.log.listKey(flowID), jetstream.WithPurgeSequence(list.revision+1)); err != nil { // no later revision
			k.log.cfg.Logger.Warn("checkpoint list of a deleted flow not removed", "flow", flowID, "err", err)
			return
		}
	}
}
