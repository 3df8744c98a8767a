package httpapi

import (
	queue "container/list"
	"net"
	"net/http"
	"sync"
	"time"
	"unsafe"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

const (
	slowest    = 32 << 10    // bytes a second that a reader has to take of an answer, on average
	leastTurn  = time.Second // for which an answer does not give way to a caller that has as much
	leastShare = 1 << 10     // bytes from which on it is worth to know that several answers share them
	atOnce     = 4           // answers that are made at one moment
	oneAtOnce  = atOnce / 2  // of those, for one caller
	retryFull  = 1           // seconds after which there may be room for an answer
)

// caller is whose share of a limit a request takes: the caller's name, or the address that it comes from where nobody has a name.
func (s *Server) caller(r *http.Request, g *auth.Grant) string {
	if s.cfg.Auth.Guarded() {
		return g.Name()
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}

// answers counts the bytes of large answers and deliveries that readers have not taken yet. Bytes that several have in common count once, and once
// for each caller. When there is no room for more, the caller that has most, of equals the one whose answer is the oldest, loses its oldest answer: at once to
// a caller that has less, and after a second to any. So slow readers, however many callers they are, keep nobody out.
type answers struct {
	limit int64

	mu      sync.Mutex
	bytes   int64
	cuts    int64
	shared  parts
	callers map[string]*holder
}

// parts are stretches of memory, by where they begin.
type parts map[*byte]part

// part is how many bytes one has, and how many holdings have it.
type part struct{ bytes, holdings int64 }

// add counts what one more holding has, and returns how many bytes are new.
func (s parts) add(h *holding) int64 {
	n := h.small
	for _, b := range h.large {
		at := unsafe.SliceData(b)
		p := s[at]
		if p.holdings++; p.holdings == 1 {
			p.bytes = int64(len(b))
			n += p.bytes
		}
		s[at] = p
	}
	return n
}

// remove takes off what a holding has, and returns how many bytes nobody has any more.
func (s parts) remove(h *holding) int64 {
	n := h.small
	for _, b := range h.large {
		at := unsafe.SliceData(b)
		p := s[at]
		if p.holdings--; p.holdings > 0 {
			s[at] = p
			continue
		}
		n += p.bytes
		delete(s, at)
	}
	return n
}

// lack is how many bytes of a holding are not among the parts.
func (s parts) lack(h *holding) int64 {
	n := h.small
	for _, b := range h.large {
		if s[unsafe.SliceData(b)].holdings == 0 {
			n += int64(len(b))
		}
	}
	return n
}

// holder is what one caller has.
type holder struct {
	bytes  int64
	shared parts
	held   queue.List // of *holding, the oldest first
}

// oldest is the answer that the caller has had for longest. It has one, or it is no holder.
func (c *holder) oldest() *holding { return c.held.Front().Value.(*holding) }

// holding is what one answer keeps in memory. A nil holding is that of a small one.
type holding struct {
	answers *answers
	caller  string
	began   time.Time
	large   [][]byte // those that may be shared
	small   int64    // bytes of the others
	cut     func()
	at      *queue.Element // nil once it is released
}

func newAnswers(limit int64) *answers {
	return &answers{limit: limit, shared: make(parts), callers: make(map[string]*holder)}
}

// take counts an answer until it is released. It reports false when there is no room, which there will be after a second. cut is called, by any
// goroutine, when the answer has to give way; it is not counted any more then. An answer that is larger than all there may be counts as if it had just that.
func (a *answers) take(caller string, body [][]byte, cut func()) (*holding, bool) {
	h := &holding{answers: a, caller: caller, began: time.Now(), cut: cut}
	size := 0
	for _, p := range body {
		if size += len(p); len(p) < leastShare {
			h.small += int64(len(p))
		} else {
			h.large = append(h.large, p)
		}
	}
	if size <= writeAtMost {
		return nil, true
	}
	var cuts []func()
	defer func() {
		for _, cut := range cuts {
			cut()
		}
	}()
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.bytes+min(a.shared.lack(h), a.limit) > a.limit {
		victim := a.victim(h)
		if victim == nil {
			return nil, false
		}
		a.cuts++
		a.drop(victim)
		cuts = append(cuts, victim.cut)
	}
	own := a.callers[caller]
	if own == nil {
		own = &holder{shared: make(parts)}
		a.callers[caller] = own
	}
	a.bytes += a.shared.add(h)
	own.bytes += own.shared.add(h)
	h.at = own.held.PushBack(h)
	return h, true
}

// victim is the answer that has to give way to h, nil when h has to. a.mu is held.
func (a *answers) victim(h *holding) *holding {
	most, name := (*holder)(nil), ""
	for n, c := range a.callers {
		if most == nil || c.bytes > most.bytes || c.bytes == most.bytes && c.oldest().began.Before(most.oldest().began) {
			most, name = c, n
		}
	}
	if most == nil {
		return nil
	}
	wants := parts(nil).lack(h)
	if own := a.callers[h.caller]; own != nil {
		wants = own.bytes + own.shared.lack(h)
	}
	oldest := most.oldest()
	if name != h.caller && most.bytes >= wants || h.began.Sub(oldest.began) >= leastTurn {
		return oldest
	}
	return nil
}

// release ends the counting of an answer. It may be called more than once.
func (h *holding) release() {
	if h == nil {
		return
	}
	h.answers.mu.Lock()
	defer h.answers.mu.Unlock()
	h.answers.drop(h)
}

// drop takes off what take has counted. a.mu is held.
func (a *answers) drop(h *holding) {
	if h.at == nil {
		return
	}
	own := a.callers[h.caller]
	own.held.Remove(h.at)
	h.at = nil
	a.bytes -= a.shared.remove(h)
	own.bytes -= own.shared.remove(h)
	if own.held.Len() == 0 {
		delete(a.callers, h.caller)
	}
}

// counted returns how many bytes there are, and how many answers had to give way.
func (a *answers) counted() (bytes, cuts int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bytes, a.cuts
}

// allowance is how long a reader may take over so many bytes, however steadily it takes them.
func (s *Server) allowance(size int) time.Duration {
	return s.cfg.WriteTimeout + time.Duration(size)*time.Second/s.slowest
}

// send answers with a body of any size. While it is not taken it counts among the answers: without room for it the answer is 503.
func (s *Server) send(w http.ResponseWriter, r *http.Request, g *auth.Grant, body []byte) {
	if len(body) <= writeAtMost || r.Method == http.MethodHead {
		_, _ = w.Write(body) // only a client that has gone makes this fail
		return
	}
	out := deadline{rc: http.NewResponseController(w)}
	held, ok := s.answers.take(s.caller(r, g), [][]byte{body}, out.cutNow)
	if !ok {
		h := w.Header()
		for _, name := range []string{"Content-Length", "Content-Encoding", "ETag"} {
			h.Del(name)
		}
		writeProblem(w, problem{Status: http.StatusServiceUnavailable, retryAfter: retryFull, Detail: "too many answers that the caller has not taken yet; read them faster, or fewer at a time"})
		return
	}
	defer held.release()
	defer out.end()
	if cw, ok := w.(*countingWriter); ok {
		w = cw.ResponseWriter
	}
	writeMoving(w, &out, s.cfg.WriteTimeout, s.allowance(len(body)), body)
}

// making has f make an answer, when it is the caller's turn. It reports false when the client has gone before.
func (s *Server) making(r *http.Request, g *auth.Grant, f func()) bool {
	caller := s.caller(r, g)
	if !s.turns.take(r.Context().Done(), caller) {
		return false
	}
	defer s.turns.give(caller)
	f()
	return true
}

// turns lets few in at once, and of one caller at most half of them. The others wait: each caller in a line of its own, and the lines have their turn
// one after the other. So a caller that asks for much waits for itself, and others have room beside it.
type turns struct {
	mu    sync.Mutex
	taken map[string]int // by caller
	all   int
	lines []*line // those in which somebody waits, by whose turn it is
}

type line struct {
	caller  string
	waiting []chan struct{}
}

// take waits for a turn, and reports false when done is closed before. A turn that was taken is given back by give.
func (t *turns) take(done <-chan struct{}, caller string) bool {
	t.mu.Lock()
	if t.free(caller) {
		t.add(caller)
		t.mu.Unlock()
		return true
	}
	turn := make(chan struct{})
	t.lineOf(caller).waiting = append(t.lineOf(caller).waiting, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-done:
	}
	if !t.leave(caller, turn) { // it came meanwhile
		t.give(caller)
	}
	return false
}

// free reports whether there is a turn for a caller. t.mu is held.
func (t *turns) free(caller string) bool { return t.all < atOnce && t.taken[caller] < oneAtOnce }

// add counts a turn of a caller. t.mu is held.
func (t *turns) add(caller string) {
	if t.taken == nil {
		t.taken = make(map[string]int)
	}
	t.taken[caller]++
	t.all++
}

// lineOf returns the line of a caller. t.mu is held.
func (t *turns) lineOf(caller string) *line {
	for _, l := range t.lines {
		if l.caller == caller {
			return l
		}
	}
	l := &line{caller: caller}
	t.lines = append(t.lines, l)
	return l
}

// leave takes one who waits out of its line, and reports false when it does not wait any more.
func (t *turns) leave(caller string, turn chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, l := range t.lines {
		if l.caller != caller {
			continue
		}
		for j, w := range l.waiting {
			if w == turn {
				if l.waiting = append(l.waiting[:j], l.waiting[j+1:]...); len(l.waiting) == 0 {
					t.lines = append(t.lines[:i], t.lines[i+1:]...)
				}
				return true
			}
		}
	}
	return false
}

// give passes a turn on, to the first line whose caller has less than its share.
func (t *turns) give(caller string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.taken[caller]--; t.taken[caller] == 0 {
		delete(t.taken, caller)
	}
	for i, l := range t.lines {
		if !t.free(l.caller) {
			continue
		}
		t.lines = append(t.lines[:i], t.lines[i+1:]...)
		turn := l.waiting[0]
		if l.waiting = l.waiting[1:]; len(l.waiting) > 0 {
			t.lines = append(t.lines, l)
		}
		t.add(l.caller)
		close(turn)
		return
	}
}
