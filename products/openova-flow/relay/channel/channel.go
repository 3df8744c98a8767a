// Package channel has the types that all services share: deliveries, memory and errors. Each service is a package below it.
package channel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// Delivery is a notice on its way to a channel.
type Delivery struct {
	Rule   string        `json:"rule"`
	Notice notice.Notice `json:"notice"`

	Repeat bool `json:"-"` // an earlier attempt may have delivered the notice, in whole or in part
}

// ID is the same for all attempts, and different for all deliveries to a channel.
func (d *Delivery) ID() string { return d.Rule + "/" + d.Notice.ID() }

// Subject is the same for all deliveries of an episode, from opened to resolved.
func (d *Delivery) Subject() string { return d.Rule + "/" + d.Notice.Episode }

// Sender delivers to one service. Its calls do not overlap.
type Sender interface {
	// Send delivers a notice. m is the memory of its subject, which is deleted after the subject's last delivery. After a *Permanent the delivery is dropped.
	// After a *Busy and all other errors it is tried again, and dropped after a day of failures.
	Send(ctx context.Context, d Delivery, m Memory) error
}

// Refresher is a Sender whose service forgets open notices unless they are sent again.
type Refresher interface {
	// Every returns how often Refresh is called.
	Every() time.Duration
	// Refresh sends the open notices again. all has the memory of each subject.
	Refresh(ctx context.Context, all map[string][]byte) error
}

// Chooser is a Sender that ignores notices of some kinds.
type Chooser interface {
	Takes(kind notice.Kind) bool
}

// Memory stores a value that a Sender needs for later deliveries of a subject, such as the id of a message.
type Memory interface {
	// Get returns the stored value, nil if there is none.
	Get() []byte
	// Set stores a value. When it returns nil, the value survives a restart.
	Set(value []byte) error
}

// Permanent is an error that each further attempt would get too, such as that of an invalid request.
type Permanent struct{ Err error }

func (e *Permanent) Error() string { return e.Err.Error() }
func (e *Permanent) Unwrap() error { return e.Err }

// Busy is an error of a service that asks to be tried again later.
type Busy struct {
	After time.Duration
	Err   error
}

func (e *Busy) Error() string { return fmt.Sprintf("%v; it asks to wait %v", e.Err, e.After) }
func (e *Busy) Unwrap() error { return e.Err }

// IsPermanent reports whether err is, or wraps, a *Permanent.
func IsPermanent(err error) bool {
	var p *Permanent
	return errors.As(err, &p)
}
