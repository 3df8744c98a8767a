package backlog

import (
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// slowClient is the ResponseWriter of a client that takes some time for each piece. Like a connection it fails a write that is not done by the deadline.
type slowClient struct {
	*httptest.ResponseRecorder
	each     time.Duration
	deadline time.Time
}

var errDeadline = errors.New("deadline exceeded")

func (c *slowClient) SetWriteDeadline(t time.Time) error { c.deadline = t; return nil }

func (c *slowClient) Write(b []byte) (int, error) {
	if left := time.Until(c.deadline); left < c.each {
		time.Sleep(left)
		return 0, errDeadline
	}
	time.Sleep(c.each)
	return c.ResponseRecorder.Write(b)
}

func TestDeadline_WriteCutsSlowClients(t *testing.T) {
	const pieces = 10
	for _, tt := range []struct {
		name    string
		rate    int           // pieces a second
		each    time.Duration // time that the client takes for a piece
		err     error
		written int
		after   time.Duration
	}{
		{"fast enough", 1, 900 * time.Millisecond, nil, pieces, 9 * time.Second},
		{"stalls", 1, 1100 * time.Millisecond, errDeadline, 0, time.Second},
		{"takes too long for all", 2, 900 * time.Millisecond, errDeadline, 6, 6 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &slowClient{ResponseRecorder: httptest.NewRecorder(), each: tt.each}
				d, began := NewDeadline(c), time.Now()
				n, err := d.Write(c, Pace{Timeout: time.Second, MinRate: tt.rate * PieceBytes}, make([]byte, pieces*PieceBytes))
				if err != tt.err || n != tt.written*PieceBytes || time.Since(began) != tt.after {
					t.Errorf("%d bytes after %s: %v", n, time.Since(began), err)
				}
			})
		})
	}
}

func TestDeadline_CutEndsLaterWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slowClient{ResponseRecorder: httptest.NewRecorder()}
		d := NewDeadline(c)
		d.Cut()
		if got := time.Until(c.deadline); got != cutGrace {
			t.Errorf("the write in progress has %s", got)
		}
		if err := d.Set(time.Now().Add(time.Hour)); err != ErrCut {
			t.Errorf("Set after Cut: %v", err)
		}
		closed := NewDeadline(c)
		c.deadline = time.Time{}
		closed.Close()
		if closed.CutNow(); !c.deadline.IsZero() {
			t.Error("CutNow after Close sets a deadline for the next answer")
		}
	})
}
