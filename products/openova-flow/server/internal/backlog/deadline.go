package backlog

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Pace is how fast a client must read.
type Pace struct {
	Timeout time.Duration // longest time without progress
	MinRate int           // least average rate, bytes a second
}

// DefaultMinRate is 32 KiB a second.
const DefaultMinRate = 32 << 10

// Allowance returns the time in which a client must read that many bytes.
func (p Pace) Allowance(bytes int) time.Duration {
	return p.Timeout + time.Duration(bytes)*time.Second/time.Duration(p.MinRate)
}

// ErrCut is the error of a write to a client that was cut off.
var ErrCut = errors.New("the client was cut off")

// cutGrace is how long a write in progress may take after Cut.
const cutGrace = time.Second

// Deadline is the write deadline of one answer. It may be moved until Cut, CutNow or Close is called. All methods but Flush and Write may be called
// concurrently.
type Deadline struct {
	rc *http.ResponseController

	mu     sync.Mutex
	closed bool
}

// NewDeadline returns the write deadline of an answer.
func NewDeadline(w http.ResponseWriter) Deadline {
	return Deadline{rc: http.NewResponseController(w)}
}

// Flush sends the buffered data of the answer.
func (d *Deadline) Flush() error { return d.rc.Flush() }

// Set moves the deadline. The zero time means no deadline.
func (d *Deadline) Set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrCut
	}
	return d.rc.SetWriteDeadline(t)
}

// Cut ends writes within a second, and makes later calls of Set fail.
func (d *Deadline) Cut() { d.cut(cutGrace) }

// CutNow is like Cut, but ends writes at once.
func (d *Deadline) CutNow() { d.cut(0) }

func (d *Deadline) cut(grace time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.closed = true
		_ = d.rc.SetWriteDeadline(time.Now().Add(grace))
	}
}

// Close makes later calls of Cut and CutNow do nothing, and of Set fail. It must be called before the handler returns, since the connection then belongs to
// the next request.
func (d *Deadline) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// Write writes b in pieces. It fails if the client does not read a piece within p.Timeout, or all of b within its allowance. A writer
// without deadlines, such as one that another program has wrapped, gets b without deadlines.
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
