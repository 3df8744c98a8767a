package eventstream

import (
	"context"
	"net/http"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/backlog"
)

type portable struct{ Config }

// NewPortable returns the Writer for every system and protocol.
func NewPortable(cfg Config) Writer { return &portable{cfg} }

// Shutdown returns at once: no other goroutines write streams. Write returns only when its stream has ended, so http.Server.Shutdown waits for it.
func (*portable) Shutdown(context.Context) {}

func (p *portable) Write(w http.ResponseWriter, r *http.Request, s Stream) {
	defer s.End()
	if r.ProtoMajor == 1 {
		limitSendBuffer(connOf(r.Context()))
	}
	out := frameWriter{Config: &p.Config, Deadline: backlog.NewDeadline(w), w: w, multiplexed: r.ProtoMajor > 1}
	defer out.Close()
	// Frames at the start are in the same order as in fast.detach.
	if out.write(s.Source.Heartbeat()) == nil {
		p.follow(r.Context().Done(), &out, s)
	}
}

// follow writes frames until the stream ends.
func (p *portable) follow(gone <-chan struct{}, out *frameWriter, s Stream) {
	// One channel wakes the goroutine for all reasons but a closed connection, since each channel in a select costs an idle stream some hundred bytes.
	woken := make(chan struct{}, 1)
	wake := func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
	waiter := hub.Waiter{Wake: wake}
	defer s.Source.Cancel(&waiter)
	s.Session.Then(func() {
		out.Cut()
		wake()
	})
	last := time.Now() // time of the last frame
	alarm := last.Add(p.Heartbeat)
	timer := time.AfterFunc(p.Heartbeat, wake)
	defer timer.Stop()
	for !closed(p.Done) && s.Session.Err() == nil { // checked in each round, so that a stream that never catches up ends too
		d, now := s.Source.Take(), time.Now()
		var err error
		switch {
		case d.Ended:
			_ = out.write(deletedFrame)
			return
		case d.Frames != nil:
			if err = p.deliver(out, s.Caller, d.Frames); err == nil {
				p.observe(d.Since)
			}
		case now.Sub(last) >= p.Heartbeat:
			err = out.write(s.Source.Heartbeat())
		case !s.Source.Await(&waiter):
			continue
		default:
			if !now.Before(alarm) {
				alarm = last.Add(p.Heartbeat)
				timer.Reset(alarm.Sub(now))
			}
			if closed(p.Done) || s.Session.Err() != nil { // it may have happened before Await
				return
			}
			select {
			case <-woken:
			case <-gone:
				return
			}
			continue
		}
		if err != nil {
			return
		}
		last = time.Now()
	}
}

// deliver writes frames, which count in the budget while they are written.
func (p *portable) deliver(out *frameWriter, caller string, frames [][]byte) error {
	charge, ok := p.Budget.Charge(caller, frames, out.CutNow)
	if !ok {
		return backlog.ErrCut
	}
	defer charge.Release()
	return out.writeWithin(p.Pace.Allowance(backlog.SizeOf(frames)), frames...)
}

// frameWriter writes frames with a deadline that moves with progress.
type frameWriter struct {
	*Config
	backlog.Deadline
	w           http.ResponseWriter
	multiplexed bool      // the connection also has other streams (HTTP/2)
	set         time.Time // when the deadline was set
}

func (o *frameWriter) write(frame []byte) error { return o.writeWithin(0, frame) }

// writeWithin writes frames. The client must read all of them within allowance, unless it is 0.
func (o *frameWriter) writeWithin(allowance time.Duration, frames ...[]byte) error {
	slack := min(time.Second, o.Pace.Timeout/8) // added to the timeout, so that the deadline has to be moved less often
	began := time.Now()
	for _, b := range frames {
		for len(b) > 0 {
			now := time.Now()
			if allowance > 0 && now.Sub(began) > allowance {
				return backlog.ErrCut
			}
			if now.Sub(o.set) > slack {
				if err := o.Set(now.Add(o.Pace.Timeout + slack)); err != nil {
					return err
				}
				o.set = now
			}
			n, err := o.w.Write(b[:min(len(b), backlog.PieceBytes)])
			o.Sent.Add(int64(n))
			if err != nil {
				return err
			}
			b = b[n:]
		}
	}
	if err := o.Flush(); err != nil || !o.multiplexed {
		return err
	}
	// Over HTTP/2 a deadline ends the stream even if nothing is being written.
	o.set = time.Time{}
	return o.Set(time.Time{})
}
