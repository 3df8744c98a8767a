package backlog

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Pace is how fast a client has to read.
type Pace struct {
	Timeout time.Duration // for which it may take no bytes at all
	MinRate int           // bytes a second, on average over what it is sent
}

// DefaultMinRate is 32 KiB a second.
const DefaultMinRate = 32 << 10

// Allowance is how long a client may take over so many bytes, however steadily it reads them.
func (p Pace) Allowance(bytes int) time.Duration {
	return p.Timeout + time.Duration(bytes)*time.Second/time.Duration(p.MinRate)
}

// ErrCut is the error of writing to a client that was cut off.
var ErrCut = errors.New("the client was cut off")

// cutGrace is how long what is being written may still take after Cut.
const cutGrace = time.Second

// Deadline is the write deadline of one answer. It may be moved until it is cut or closed; the methods may be called concurrently.
type Deadline struct {
	rc *http.ResponseController

	mu     sync.Mutex
	closed bool
}

// NewDeadline returns the write deadline of an answer.
func NewDeadline(w http.ResponseWriter) Deadline {
	return Deadline{rc: http.NewResponseController(w)}
}

// Flush sends what is buffered.
func (d *Deadline) Flush() error { return d.rc.Flush() }

// Set moves the deadline. The zero time is none.
func (d *Deadline) Set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrCut
	}
	return d.rc.SetWriteDeadline(t)
}

// Cut ends what is being written within a second, and refuses all that would follow.
func (d *Deadline) Cut() { d.cut(cutGrace) }

// CutNow is Cut without the second.
func (d *Deadline) CutNow() { d.cut(0) }

func (d *Deadline) cut(grace time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.closed = true
		_ = d.rc.SetWriteDeadline(time.Now().Add(grace))
	}
}

// Close makes Cut do nothing from now on. It must be called before the handler returns: the connection belongs to the next request then.
func (d *Deadline) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// Write writes b piece by piece, so that a client is cut off when it takes none of a piece within p.Timeout, or not all of b within its allowance. A writer
// without deadlines, such as one that another program has wrapped, takes b without any.
func (d *Deadline) Write(w io.Writer, p Pace, b []byte) (written int, err error) {
	for end := time.Now().Add(p.Allowance(len(b))); len(b) > 0; {
		until := time.Now().Add(p.Timeout)
		if until.After(end) {
			until = end
		}
		if err := d.Set(until); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return written, err
		}
		n, err := w.Write(b[:min(len(b), PieceBytes)])
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
	}
	return written, nil
}
