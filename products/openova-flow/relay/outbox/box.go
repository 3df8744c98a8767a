package outbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// Limits of the queue of a channel.
const (
	DefaultLimit = 1000     // deliveries
	maxBytes     = 64 << 20 // a queue of this size has no room
)

// Box is an open outbox file. All methods but Close may run concurrently.
type Box struct {
	db    *bbolt.DB
	limit int // deliveries in a queue

	mu    sync.Mutex
	sizes map[string]size          // of each queue
	added map[string]chan struct{} // of each queue; a value says that a delivery was added
}

type size struct {
	count int
	bytes int64
}

// Item is a delivery in a queue.
type Item struct {
	channel.Delivery
	Seq uint64
}

var (
	bucketDesks  = []byte("desks")
	bucketQueues = []byte("queues")
	bucketMemory = []byte("memory")

	keySince   = []byte("since")
	keyEntries = []byte("entries")
	keyEnded   = []byte("ended")
)

// Open opens or creates a box with room for limit deliveries in each queue; 0: DefaultLimit. It fails if another process has the file open, or if it finds
// the file damaged.
func Open(file string, limit int) (_ *Box, err error) {
	// A damaged file can make bbolt panic. A file that is too short causes a memory fault, which SetPanicOnFault makes a panic.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var db *bbolt.DB
	defer func() {
		cause := recover()
		switch {
		case cause == nil && err == nil:
			return
		case cause != nil:
			err = fmt.Errorf("%v", cause)
		case errors.Is(err, berrors.ErrTimeout):
			err = fmt.Errorf("open the outbox %s: another process has it open", file)
			return
		case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("open the outbox: %w", err)
			return
		}
		if db != nil {
			_ = db.Close() // err is the cause
		}
		err = fmt.Errorf("open the outbox %s: %w; if the file is damaged, move it away: open notices are then sent again", file, err)
	}()
	db, err = bbolt.Open(file, 0o600, &bbolt.Options{Timeout: 3 * time.Second})
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = DefaultLimit
	}
	b := &Box{db: db, limit: limit, sizes: make(map[string]size), added: make(map[string]chan struct{})}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketDesks, bucketQueues, bucketMemory} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		queues := tx.Bucket(bucketQueues)
		return queues.ForEachBucket(func(name []byte) error {
			var s size
			err := queues.Bucket(name).ForEach(func(_, value []byte) error {
				s.count++
				s.bytes += int64(len(value))
				return nil
			})
			b.sizes[string(name)] = s
			return err
		})
	})
	if err == nil {
		err = db.View(func(tx *bbolt.Tx) error {
			return tx.ForEach(func(_ []byte, bucket *bbolt.Bucket) error { return readAllBytes(bucket) })
		})
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// readAllBytes reads a bucket: bbolt only finds damage in pages that are read.
func readAllBytes(bucket *bbolt.Bucket) error {
	return bucket.ForEach(func(key, value []byte) error {
		if value == nil {
			return readAllBytes(bucket.Bucket(key))
		}
		crc32.ChecksumIEEE(key)
		crc32.ChecksumIEEE(value)
		return nil
	})
}

// Close closes the file. No other method may run.
func (b *Box) Close() error { return b.db.Close() }

// State returns the state of a desk, an empty one if none is stored.
func (b *Box) State(desk string) (notice.State, error) {
	s := notice.State{Entries: make(map[string]notice.Entry), Ended: make(map[string]int64)}
	err := b.db.View(func(tx *bbolt.Tx) error {
		root := tx.Bucket(bucketDesks).Bucket([]byte(desk))
		if root == nil {
			return nil
		}
		if err := json.Unmarshal(root.Get(keySince), &s.Since); err != nil {
			return err
		}
		return errors.Join(readAll(root.Bucket(keyEntries), s.Entries), readAll(root.Bucket(keyEnded), s.Ended))
	})
	if err != nil {
		return s, fmt.Errorf("read the state of %s: %w", desk, err)
	}
	return s, nil
}

func readAll[V any](bucket *bbolt.Bucket, into map[string]V) error {
	return bucket.ForEach(func(key, value []byte) error {
		var v V
		err := json.Unmarshal(value, &v)
		into[string(key)] = v
		return err
	})
}

// Room returns how many deliveries may be added to the queue of a channel: none if it has maxBytes or more.
func (b *Box) Room(channelName string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.sizes[channelName]
	if now.bytes >= maxBytes {
		return 0
	}
	return max(0, b.limit-now.count)
}

// Commit writes a change of a desk's state and puts its notices into the queue of a channel, all or nothing.
func (b *Box) Commit(desk, rule, channelName string, c notice.Change) error {
	if c.Empty() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.sizes[channelName]
	err := b.db.Update(func(tx *bbolt.Tx) error {
		if err := writeState(tx, desk, c); err != nil {
			return err
		}
		if len(c.Notices) == 0 {
			return nil
		}
		queue, err := tx.Bucket(bucketQueues).CreateBucketIfNotExists([]byte(channelName))
		if err != nil {
			return err
		}
		for _, n := range c.Notices {
			d := channel.Delivery{Rule: rule, Notice: n}
			if err := supersede(queue, &d, &now); err != nil {
				return err
			}
			if err := push(queue, &d, &now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the outbox: %w", err)
	}
	b.sizes[channelName] = now
	if len(c.Notices) > 0 {
		select {
		case b.addedTo(channelName) <- struct{}{}:
		default:
		}
	}
	return nil
}

func writeState(tx *bbolt.Tx, desk string, c notice.Change) error {
	root, err := tx.Bucket(bucketDesks).CreateBucketIfNotExists([]byte(desk))
	if err != nil {
		return err
	}
	if c.Since != 0 || root.Get(keySince) == nil {
		if err := put(root, keySince, c.Since); err != nil {
			return err
		}
	}
	entries, err := root.CreateBucketIfNotExists(keyEntries)
	if err != nil {
		return err
	}
	for key, e := range c.Entries {
		if e == nil {
			err = entries.Delete([]byte(key))
		} else {
			err = put(entries, []byte(key), e)
		}
		if err != nil {
			return err
		}
	}
	ended, err := root.CreateBucketIfNotExists(keyEnded)
	if err != nil {
		return err
	}
	for flow, at := range c.Ended {
		if err := put(ended, []byte(flow), at); err != nil {
			return err
		}
	}
	return nil
}

func put(bucket *bbolt.Bucket, key []byte, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return bucket.Put(key, text)
}

// supersede removes the queued updates of a delivery's subject, which the delivery replaces.
func supersede(queue *bbolt.Bucket, d *channel.Delivery, now *size) error {
	if d.Notice.Phase == notice.Opened {
		return nil
	}
	var old [][]byte
	subject := d.Subject()
	err := queue.ForEach(func(key, value []byte) error {
		var q channel.Delivery
		if err := json.Unmarshal(value, &q); err != nil {
			return err
		}
		if q.Notice.Phase == notice.Updated && q.Subject() == subject {
			old = append(old, bytes.Clone(key))
			now.count--
			now.bytes -= int64(len(value))
		}
		return nil
	})
	for _, key := range old {
		err = errors.Join(err, queue.Delete(key))
	}
	return err
}

func push(queue *bbolt.Bucket, d *channel.Delivery, now *size) error {
	seq, err := queue.NextSequence()
	if err != nil {
		return err
	}
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	now.count++
	now.bytes += int64(len(text))
	return queue.Put(binary.BigEndian.AppendUint64(nil, seq), text)
}

// Keep deletes all desks, queues and memories except those of these desks, rules and channels.
func (b *Box) Keep(desks, rules, channels []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(keepBuckets(tx.Bucket(bucketDesks), desks), keepBuckets(tx.Bucket(bucketQueues), channels),
			keepBuckets(tx.Bucket(bucketMemory), channels), keepSubjects(tx.Bucket(bucketMemory), rules))
	})
	if err != nil {
		return fmt.Errorf("write the outbox: %w", err)
	}
	for name := range b.sizes {
		if !slices.Contains(channels, name) {
			delete(b.sizes, name)
		}
	}
	return nil
}

func keepBuckets(root *bbolt.Bucket, names []string) error {
	var old [][]byte
	err := root.ForEachBucket(func(name []byte) error {
		if !slices.Contains(names, string(name)) {
			old = append(old, bytes.Clone(name))
		}
		return nil
	})
	for _, name := range old {
		err = errors.Join(err, root.DeleteBucket(name))
	}
	return err
}

// keepSubjects deletes the memories of all rules except these.
func keepSubjects(root *bbolt.Bucket, rules []string) error {
	return root.ForEachBucket(func(name []byte) error {
		memory := root.Bucket(name)
		var old [][]byte
		err := memory.ForEach(func(key, _ []byte) error {
			if rule, _, _ := bytes.Cut(key, []byte("/")); !slices.Contains(rules, string(rule)) {
				old = append(old, bytes.Clone(key))
			}
			return nil
		})
		for _, key := range old {
			err = errors.Join(err, memory.Delete(key))
		}
		return err
	})
}
