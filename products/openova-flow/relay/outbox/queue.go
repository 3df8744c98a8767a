package outbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// addedTo returns the Go channel of Added. b.mu is held.
func (b *Box) addedTo(channelName string) chan struct{} {
	if b.added[channelName] == nil {
		b.added[channelName] = make(chan struct{}, 1)
	}
	return b.added[channelName]
}

// Added returns a Go channel that gets a value after deliveries were put into the queue. Only one goroutine may receive from it.
func (b *Box) Added(channelName string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.addedTo(channelName)
}

// Len returns how many deliveries are in a queue.
func (b *Box) Len(channelName string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sizes[channelName].count
}

// Next returns the oldest delivery of a queue, nil if there is none. If the delivery is unreadable, it returns an Item of which only Seq is valid, and an error.
func (b *Box) Next(channelName string) (*Item, error) {
	var item *Item
	err := b.db.View(func(tx *bbolt.Tx) error {
		queue := tx.Bucket(bucketQueues).Bucket([]byte(channelName))
		if queue == nil {
			return nil
		}
		key, value := queue.Cursor().First()
		if key == nil {
			return nil
		}
		item = &Item{Seq: binary.BigEndian.Uint64(key)}
		return json.Unmarshal(value, &item.Delivery)
	})
	if err != nil {
		return item, fmt.Errorf("read the queue of %s: %w", channelName, err)
	}
	return item, nil
}

// Done removes a delivery from a queue, and with the notice Resolved the memory of its subject.
func (b *Box) Done(channelName string, item *Item) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.sizes[channelName]
	err := b.db.Update(func(tx *bbolt.Tx) error {
		if memory := tx.Bucket(bucketMemory).Bucket([]byte(channelName)); memory != nil && item.Notice.Phase == notice.Resolved {
			if err := memory.Delete([]byte(item.Subject())); err != nil {
				return err
			}
		}
		queue := tx.Bucket(bucketQueues).Bucket([]byte(channelName))
		key := binary.BigEndian.AppendUint64(nil, item.Seq)
		if queue == nil || queue.Get(key) == nil { // superseded meanwhile
			return nil
		}
		now.count--
		now.bytes -= int64(len(queue.Get(key)))
		return queue.Delete(key)
	})
	if err != nil {
		return fmt.Errorf("write the outbox: %w", err)
	}
	b.sizes[channelName] = now
	return nil
}

// Memories returns the memories of a channel, by subject.
func (b *Box) Memories(channelName string) (map[string][]byte, error) {
	all := make(map[string][]byte)
	err := b.db.View(func(tx *bbolt.Tx) error {
		memory := tx.Bucket(bucketMemory).Bucket([]byte(channelName))
		if memory == nil {
			return nil
		}
		return memory.ForEach(func(key, value []byte) error {
			all[string(key)] = bytes.Clone(value)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	return all, nil
}

// memory is the channel.Memory of a subject.
type memory struct {
	box              *Box
	channel, subject string
}

func (m memory) Get() (value []byte) {
	_ = m.box.db.View(func(tx *bbolt.Tx) error { // the file is open, and the function returns no error
		if bucket := tx.Bucket(bucketMemory).Bucket([]byte(m.channel)); bucket != nil {
			value = bytes.Clone(bucket.Get([]byte(m.subject)))
		}
		return nil
	})
	return value
}

func (m memory) Set(value []byte) error {
	err := m.box.db.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.Bucket(bucketMemory).CreateBucketIfNotExists([]byte(m.channel))
		if err != nil {
			return err
		}
		return bucket.Put([]byte(m.subject), value)
	})
	if err != nil {
		return fmt.Errorf("write the outbox: %w", err)
	}
	return nil
}

// Lengths returns how many deliveries are in each queue. A queue that was never written to may be missing.
func (b *Box) Lengths() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[string]int, len(b.sizes))
	for name, s := range b.sizes {
		all[name] = s.count
	}
	return all
}
