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

// open makes stream and bucket where there are none, as soon as JetStream is there.
func (l *Log) open(ctx context.Context) error {
	told := false
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
		trouble := fmt.Errorf("JetStream is not there yet: %s", reason(err))
		l.trouble.Store(&trouble)
		if !told {
			told = true
			l.cfg.Logger.Warn("waiting for JetStream", "err", err)
		}
		if !sleep(ctx, retryWait) {
			return ctx.Err()
		}
	}
}

func (l *Log) tryOpen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	made := false
	stream, err := l.js.Stream(ctx, l.streamName())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = l.js.CreateStream(ctx, l.streamConfig())
		made = err == nil
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another replica was first
			stream, err = l.js.Stream(ctx, l.streamName())
		}
	}
	if err != nil {
		return err
	}
	if l.identity = stream.CachedInfo().Config.Metadata[identityKey]; l.identity == "" {
		return fatal("stream %s was made by something else: it has no %s in its metadata; name another", l.streamName(), identityKey)
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
	if made {
		others, err := l.clear(ctx, bucket)
		if err != nil {
			l.cfg.Logger.Warn("checkpoints of a stream that is gone are not dropped", "err", err)
		}
		if others || l.cfg.Acknowledged > 0 {
			l.cfg.Logger.Error("the stream is gone, flows begin anew and emitters send all they have", "stream", l.streamName())
		}
	}
	if made {
		l.cfg.Acknowledged = 0 // of a stream that is no more
	}
	l.stream, l.bucket = stream, bucket
	l.trouble.Store(nil)
	return nil
}

// lossless returns the settings of a stream without what makes it drop entries by itself that may be in no checkpoint, and whether anything of
// that was set. To bound its size is no harm if it then takes nothing more.
func (l *Log) lossless(cfg jetstream.StreamConfig) (jetstream.StreamConfig, bool) {
	was := cfg
	cfg.MaxAge, cfg.DiscardNewPerSubject = 0, false
	cfg.MaxMsgsPerSubject = max(cfg.MaxMsgsPerSubject, int64(l.cfg.held()))
	if cfg.Discard == jetstream.DiscardOld {
		cfg.MaxMsgs, cfg.MaxBytes = -1, -1
	}
	changed := cfg.MaxAge != was.MaxAge || cfg.DiscardNewPerSubject != was.DiscardNewPerSubject || cfg.MaxMsgsPerSubject != was.MaxMsgsPerSubject ||
		cfg.MaxMsgs != was.MaxMsgs || cfg.MaxBytes != was.MaxBytes
	if changed {
		l.cfg.Logger.Warn("the stream's limits would drop what is in no checkpoint, and are lifted", "stream", cfg.Name, "maxAge", was.MaxAge,
			"maxBytes", was.MaxBytes, "maxMsgs", was.MaxMsgs, "maxMsgsPerSubject", was.MaxMsgsPerSubject)
	}
	return cfg, changed
}

// openBucket makes the bucket where there is none. Beside a stream that has dropped entries there must be one: what they did is there alone.
func (l *Log) openBucket(ctx context.Context, stream *jetstream.StreamInfo) (jetstream.KeyValue, error) {
	first, state := max(stream.Config.FirstSeq, 1), stream.State
	_, err := l.js.KeyValue(ctx, l.bucketName())
	if errors.Is(err, jetstream.ErrBucketNotFound) && state.LastSeq+1 > first+state.Msgs {
		if l.missed++; l.missed < goneAfter { // a server that is just starting may say so
			return nil, err
		}
		return nil, fatal("bucket %s is not there, and stream %s has dropped entries that are in its checkpoints: restore the bucket, "+
			"or delete the stream too, and emitters send all they have anew", l.bucketName(), l.streamName())
	}
	return l.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: l.bucketName(), Description: "the folded state of each flow", Storage: jetstream.FileStorage, Replicas: l.cfg.Replicas, History: 1})
}

// clear drops the checkpoints of streams that had this name before, and reports whether there are any.
func (l *Log) clear(ctx context.Context, bucket jetstream.KeyValue) (found bool, err error) {
	keys, err := bucket.ListKeysFiltered(ctx, headKind+">", dataKind+">")
	if err != nil {
		return false, err
	}
	defer func() { _ = keys.Stop() }()
	others := make(map[string]bool)
	for key := range keys.Keys() {
		if parts := strings.SplitN(key, ".", 3); len(parts) == 3 && parts[1] != l.identity {
			others[parts[0]+"."+parts[1]] = true
		}
	}
	for prefix := range others {
		err = errors.Join(err, l.keep.purge(ctx, prefix+".>"))
	}
	return len(others) > 0, err
}

func (l *Log) streamConfig() jetstream.StreamConfig {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return jetstream.StreamConfig{
		Name: l.streamName(), Description: "the changes of all flows, in order", Subjects: []string{l.cfg.Name + ".log.*"},
		Storage: jetstream.FileStorage, Replicas: l.cfg.Replicas, Discard: jetstream.DiscardOld,
		MaxMsgsPerSubject: int64(l.cfg.held()), Duplicates: 2 * time.Minute,
		AllowDirect: false, // a server that is behind would say that an entry is not there
		Metadata:    map[string]string{identityKey: hex.EncodeToString(b[:])},
		// Numbers start from the clock, as those of a server without a log do: they go up even when the stream is made anew, unless it took
		// more than 30 entries a second ever since.
		FirstSeq: max(uint64(time.Now().UnixMicro())>>15, l.cfg.Acknowledged+1),
	}
}

func (l *Log) bucketName() string { return l.cfg.Name + "-checkpoints" }
