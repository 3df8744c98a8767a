package natslog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// open opens or creates the stream and the bucket. It retries until it succeeds, ctx ends or the error is fatal. If ctx ends, it returns nil.
func (l *Log) open(ctx context.Context) error {
	logged := false
	for {
		err := l.tryOpen(ctx)
		switch {
		case err == nil:
			return nil
		case errors.As(err, new(*fatalError)):
			return err
		case ctx.Err() != nil:
			return nil
		}
		outage := fmt.Errorf("waiting for JetStream: %s", reason(err))
		l.outage.Store(&outage)
		if !logged {
			logged = true
			l.cfg.Logger.Warn("waiting for JetStream", "err", reason(err))
		}
		if !sleep(ctx, retryInterval) {
			return nil
		}
	}
}

func (l *Log) tryOpen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	stream, err := l.js.Stream(ctx, l.streamName())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = l.js.CreateStream(ctx, l.streamConfig())
		l.created = l.created || err == nil
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another replica was faster
			stream, err = l.js.Stream(ctx, l.streamName())
		}
	}
	if err != nil {
		return err
	}
	if l.identity = stream.CachedInfo().Config.Metadata[identityKey]; l.identity == "" {
		return fatal("stream %s belongs to another program: its metadata has no %s; set another FLOW_SERVER_STREAM_NAME", l.streamName(), identityKey)
	}
	cfg, changed := l.lossless(stream.CachedInfo().Config)
	if changed || cfg.Replicas != l.cfg.Replicas || cfg.AllowDirect {
		cfg.Replicas, cfg.AllowDirect = l.cfg.Replicas, false
		if stream, err = l.js.UpdateStream(ctx, cfg); err != nil {
			return err
		}
	}
	bucket, err := l.openBucket(ctx, stream.CachedInfo())
	if err != nil {
		return err
	}
	if l.created {
		found, err := l.removeForeignCheckpoints(ctx, bucket)
		if err != nil {
			l.cfg.Logger.Warn("checkpoints of a deleted stream not removed", "err", err)
		}
		if found || l.cfg.Acknowledged > 0 {
			l.cfg.Logger.Error("stream was deleted, starting empty; emitters resend their state", "stream", l.streamName())
		}
		l.cfg.Acknowledged = 0 // it was the number in the deleted stream
	}
	l.stream, l.bucket = stream, bucket
	l.outage.Store(nil)
	return nil
}

// lossless returns the configuration without limits that lose entries: the stream keeps the last entries of each flow, at least maxEntries, and may reject
// new ones at a size limit. It reports whether that is a change, which it logs.
func (l *Log) lossless(cfg jetstream.StreamConfig) (jetstream.StreamConfig, bool) {
	before := cfg
	cfg.MaxAge, cfg.DiscardNewPerSubject = 0, false
	cfg.MaxMsgsPerSubject = max(cfg.MaxMsgsPerSubject, int64(l.cfg.maxEntries()))
	if cfg.Discard == jetstream.DiscardOld {
		cfg.MaxMsgs, cfg.MaxBytes = -1, -1
	}
	changed := cfg.MaxAge != before.MaxAge || cfg.DiscardNewPerSubject != before.DiscardNewPerSubject || cfg.MaxMsgsPerSubject != before.MaxMsgsPerSubject ||
		cfg.MaxMsgs != before.MaxMsgs || cfg.MaxBytes != before.MaxBytes
	if changed {
		l.cfg.Logger.Warn("replacing unsafe JetStream limits", "stream", cfg.Name, "maxAge", before.MaxAge,
			"maxBytes", before.MaxBytes, "maxMsgs", before.MaxMsgs, "maxMsgsPerSubject", before.MaxMsgsPerSubject)
	}
	return cfg, changed
}

// openBucket opens the bucket, or creates it. A missing bucket is an error if the stream has dropped entries: their effects were in its checkpoints only.
func (l *Log) openBucket(ctx context.Context, stream *jetstream.StreamInfo) (jetstream.KeyValue, error) {
	first, state := max(stream.Config.FirstSeq, 1), stream.State
	_, err := l.js.KeyValue(ctx, l.bucketName())
	if errors.Is(err, jetstream.ErrBucketNotFound) && state.LastSeq+1 > first+state.Msgs {
		if l.bucketMissing++; l.bucketMissing < missingLimit { // a NATS server that is starting may not find it yet
			return nil, err
		}
		return nil, fatal("bucket %s is missing, and stream %s has dropped entries that only its checkpoints contained: restore the bucket from a backup, "+
			"or delete the stream, and emitters resend their state", l.bucketName(), l.streamName())
	}
	return l.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: l.bucketName(), Description: "checkpoints of flows", Storage: jetstream.FileStorage, Replicas: l.cfg.Replicas, History: 1})
}

// removeForeignCheckpoints removes the checkpoints of earlier streams of the same name, and reports whether there were any.
func (l *Log) removeForeignCheckpoints(ctx context.Context, bucket jetstream.KeyValue) (found bool, err error) {
	keys, err := bucket.ListKeysFiltered(ctx, listKind+">", dataKind+">")
	if err != nil {
		return false, err
	}
	defer func() { _ = keys.Stop() }()
	foreign := make(map[string]bool) // by prefix of the keys
	for key := range keys.Keys() {
		if parts := strings.SplitN(key, ".", 3); len(parts) == 3 && parts[1] != l.identity {
			foreign[parts[0]+"."+parts[1]] = true
		}
	}
	for prefix := range foreign {
		err = errors.Join(err, l.checkpoints.purge(ctx, prefix+".>"))
	}
	return len(foreign) > 0, err
}

func (l *Log) streamConfig() jetstream.StreamConfig {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return jetstream.StreamConfig{
		Name: l.streamName(), Description: "changes of all flows, in order", Subjects: []string{l.allSubjects()},
		Storage: jetstream.FileStorage, Replicas: l.cfg.Replicas, Discard: jetstream.DiscardOld,
		MaxMsgsPerSubject: int64(l.cfg.maxEntries()), Duplicates: 2 * time.Minute,
		AllowDirect: false, // a NATS server that is behind would report a new entry as missing
		Metadata:    map[string]string{identityKey: hex.EncodeToString(b[:])},
		// Sequence numbers start from the clock, like those of a server without a log. So a stream that replaces a deleted one has greater numbers,
		// unless the deleted one accepted more than 30 entries a second on average.
		FirstSeq: max(uint64(time.Now().UnixMicro())>>15, l.cfg.Acknowledged+1),
	}
}
