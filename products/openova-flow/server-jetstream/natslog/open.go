package natslog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
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
	stream, err := l.js.Stream(ctx, l.streamName())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = l.js.CreateStream(ctx, l.streamConfig())
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another replica was first
			stream, err = l.js.Stream(ctx, l.streamName())
		}
	}
	if err != nil {
		return err
	}
	cfg := stream.CachedInfo().Config
	if l.identity = cfg.Metadata[identityKey]; l.identity == "" {
		return fatal("stream %s was made by something else: it has no %s in its metadata; name another", l.streamName(), identityKey)
	}
	if cfg.Replicas != l.cfg.Replicas || cfg.MaxMsgsPerSubject < int64(l.cfg.held()) {
		cfg.Replicas = l.cfg.Replicas
		cfg.MaxMsgsPerSubject = max(cfg.MaxMsgsPerSubject, int64(l.cfg.held()))
		if stream, err = l.js.UpdateStream(ctx, cfg); err != nil {
			return err
		}
	}
	bucket, err := l.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: l.bucketName(), Description: "the folded state of each flow", Storage: jetstream.FileStorage, Replicas: l.cfg.Replicas, History: 1})
	if err != nil {
		return err
	}
	l.stream, l.bucket = stream, bucket
	l.trouble.Store(nil)
	return nil
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
		// Numbers start from the clock, as those of a server without a log do: they go up even when the stream is made anew.
		FirstSeq: uint64(time.Now().UnixMicro()) >> 15,
	}
}

func (l *Log) bucketName() string { return l.cfg.Name + "-checkpoints" }
