package outbox

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// Times of a Worker.
const (
	firstPause = time.Second
	maxPause   = 5 * time.Minute
	maxBusy    = time.Hour // the longest pause that a service may ask for
	// maxAge is how long a delivery is tried again, from its first attempt by this Worker.
	maxAge = 24 * time.Hour
	// sendTimeout bounds one attempt.
	sendTimeout = time.Minute
)

// Outcome is how an attempt ended.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered"
	Failed    Outcome = "failed"  // the delivery is tried again
	Dropped   Outcome = "dropped" // the delivery is not tried again
)

// Worker delivers the queue of one channel.
type Worker struct {
	Box     *Box
	Channel string
	Sender  channel.Sender
	Log     *slog.Logger
	// Report gets the outcome of an attempt, with its error. It must not block. Nil: no reports.
	Report func(channelName string, n *notice.Notice, outcome Outcome, err error)

	failures int       // attempts that have failed in a row
	current  uint64    // Seq of the delivery that was attempted last
	began    time.Time // time of its first attempt
}

// Run delivers until ctx ends.
func (w *Worker) Run(ctx context.Context) {
	added := w.Box.Added(w.Channel)
	var refresh <-chan time.Time
	refresher, _ := w.Sender.(channel.Refresher)
	if refresher != nil {
		w.refresh(ctx, refresher) // at once: a relay that restarts often would never reach the first tick
		tick := time.NewTicker(refresher.Every())
		defer tick.Stop()
		refresh = tick.C
	}
	first := w.first()
	for ctx.Err() == nil {
		item, err := w.Box.Next(w.Channel)
		if err != nil {
			w.Log.Error("queued notice unreadable", "channel", w.Channel, "err", err)
			if item != nil && w.Box.Done(w.Channel, item) == nil {
				continue
			}
			item = nil
		}
		if item == nil {
			select {
			case <-ctx.Done():
			case <-added:
			case <-refresh:
				w.refresh(ctx, refresher)
			}
			continue
		}
		item.Repeat = item.Seq == first || w.failures > 0 // also after a superseded delivery, which may have been delivered
		for wait := time.NewTimer(w.deliver(ctx, item)); ; {
			select {
			case <-ctx.Done():
			case <-wait.C:
			case <-refresh:
				w.refresh(ctx, refresher)
				continue
			}
			wait.Stop()
			break
		}
	}
}

// first returns the Seq of the first delivery in the queue, 0 if there is none. Only this delivery may have been sent by an earlier Run.
func (w *Worker) first() uint64 {
	if item, err := w.Box.Next(w.Channel); err == nil && item != nil {
		return item.Seq
	}
	return 0
}

// deliver makes one attempt and returns how long to wait before the next one.
func (w *Worker) deliver(ctx context.Context, item *Item) time.Duration {
	if item.Seq != w.current { // the one before was delivered, dropped or superseded
		w.current, w.began = item.Seq, time.Now()
	}
	bounded, cancel := context.WithTimeout(ctx, sendTimeout)
	err := w.Sender.Send(bounded, item.Delivery, memory{w.Box, w.Channel, item.Subject()})
	cancel()
	if ctx.Err() != nil {
		return 0 // it may have been delivered; the next Run repeats it
	}
	outcome := Delivered
	switch {
	case err == nil:
	case channel.IsPermanent(err), time.Since(w.began) > maxAge:
		outcome = Dropped
		w.Log.Error("notice dropped", "channel", w.Channel, "rule", item.Rule, "key", item.Notice.Key, "phase", string(item.Notice.Phase), "err", err)
	default:
		outcome = Failed
		w.failures++
		w.Log.Warn("delivery failed", "channel", w.Channel, "rule", item.Rule, "key", item.Notice.Key, "attempt", w.failures, "err", err)
	}
	if w.Report != nil {
		w.Report(w.Channel, &item.Notice, outcome, err)
	}
	if outcome == Failed {
		return w.pause(err)
	}
	w.failures = 0
	if err := w.Box.Done(w.Channel, item); err != nil {
		w.Log.Error("outbox not writable", "channel", w.Channel, "err", err)
		w.failures++ // the delivery is sent again
		return w.pause(err)
	}
	return 0
}

// pause returns how long to wait after a failure: as long as the service asks, at most maxBusy; else twice as long as before, at most maxPause, give or take a
// quarter.
func (w *Worker) pause(err error) time.Duration {
	if busy := new(channel.Busy); errors.As(err, &busy) {
		return min(busy.After, maxBusy)
	}
	pause := maxPause
	if w.failures < 10 {
		pause = min(maxPause, firstPause<<(w.failures-1))
	}
	return time.Duration(float64(pause) * (0.75 + rand.Float64()/2))
}

// refresh sends the open notices of the channel again. A failure is only logged: the next refresh follows soon.
func (w *Worker) refresh(ctx context.Context, r channel.Refresher) {
	all, err := w.Box.Memories(w.Channel)
	if err == nil && len(all) > 0 {
		bounded, cancel := context.WithTimeout(ctx, sendTimeout)
		err = r.Refresh(bounded, all)
		cancel()
	}
	if err != nil && ctx.Err() == nil {
		w.Log.Warn("open notices not sent again", "channel", w.Channel, "err", err)
	}
}
