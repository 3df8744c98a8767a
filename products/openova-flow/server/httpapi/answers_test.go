package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

func TestAnswers_LargestHolderGivesWay(t *testing.T) { synctest.Test(t, testLargestHolderGivesWay) }

func testLargestHolderGivesWay(t *testing.T) {
	a := newAnswers(1000 << 10)
	var cut []string
	take := func(caller, name string, body []byte) (*holding, bool) {
		t.Helper()
		return a.take(caller, [][]byte{body}, func() { cut = append(cut, name) })
	}
	body := func() []byte { return make([]byte, 300<<10) }
	has := func(bytes, cuts int64, names string) {
		t.Helper()
		if b, n := a.counted(); b != bytes<<10 || n != cuts || strings.Join(cut, " ") != names {
			t.Fatalf("%d KiB are held, %d gave way: %v; want %d, %d: %s", b>>10, n, cut, bytes, cuts, names)
		}
	}
	shared := body()
	_, _ = take("one", "1", shared)
	second, _ := take("one", "2", shared)
	_, _ = take("one", "3", body())
	last, ok := take("one", "4", body())
	if has(900, 0, ""); !ok {
		t.Fatal("there is room for three, one of them shared")
	}
	if _, ok := take("one", "5", body()); ok {
		t.Error("a caller has more than there may be")
	}
	if _, ok := take("one", "small", make([]byte, writeAtMost)); !ok {
		t.Error("a small answer is counted")
	}
	other, ok := take("two", "6", body())
	if !ok {
		t.Fatal("one caller keeps another out")
	}
	has(900, 2, "1 2") // both of those that share what has to go
	second.release()
	has(900, 2, "1 2")
	if _, ok = take("two", "7", make([]byte, 500<<10)); ok {
		t.Error("who would have most takes from who has less")
	}
	last.release()
	other.release()
	has(300, 2, "1 2")
	if _, ok = take("three", "large", make([]byte, 5000<<10)); ok {
		t.Error("an answer gives way at once to one that is larger")
	}
	time.Sleep(leastTurn)
	large, ok := take("three", "large", make([]byte, 5000<<10))
	if has(5000, 3, "1 2 3"); !ok {
		t.Fatal("what is larger than all there may be has no room by itself")
	}
	large.release()
	has(0, 3, "1 2 3")
	if len(a.callers) != 0 || len(a.shared) != 0 {
		t.Errorf("%v and %v are left", a.callers, a.shared)
	}
}

// TestAnswers_SharedBytesOfAnotherLength has two stretches begin at one place.
func TestAnswers_SharedBytesOfAnotherLength(t *testing.T) {
	a, b := newAnswers(1<<30), make([]byte, 200<<10)
	short, _ := a.take("a", [][]byte{b[:100<<10]}, nil)
	long, _ := a.take("a", [][]byte{b}, nil)
	short.release()
	long.release()
	long.release()
	if bytes, _ := a.counted(); bytes != 0 {
		t.Errorf("%d bytes are left", bytes)
	}
}

// never is the end of a request whose client stays.
var never = make(chan struct{})

// TestTurns_CallerWithItsShareDelaysNobody has a caller ask for much more than its share, and others come.
func TestTurns_CallerWithItsShareDelaysNobody(t *testing.T) {
	synctest.Test(t, testCallerWithItsShareDelaysNobody)
}

func testCallerWithItsShareDelaysNobody(t *testing.T) {
	var s turns
	took := make(map[string]int)
	take := func(caller string) {
		go func() {
			if s.take(t.Context().Done(), caller) {
				took[caller]++
			}
		}()
		synctest.Wait()
	}
	for range 10 {
		take("much")
	}
	if took["much"] != oneAtOnce {
		t.Errorf("one caller has %d turns of %d, want %d", took["much"], atOnce, oneAtOnce)
	}
	take("little")
	take("other")
	if took["little"] != 1 || took["other"] != 1 {
		t.Errorf("others have to wait for one: %v", took)
	}
	s.give("other")
	synctest.Wait()
	if took["much"] != oneAtOnce {
		t.Errorf("a turn that another gave back goes to a caller that has its share: %v", took)
	}
	take("other")
	if took["other"] != 2 {
		t.Errorf("a turn that was given back is lost: %v", took)
	}
	take("little")
	take("late")
	s.give("much")
	synctest.Wait()
	s.give("much")
	synctest.Wait()
	if took["little"] != 2 || took["late"] != 0 || took["much"] != oneAtOnce+1 {
		t.Errorf("the lines do not have their turn one after the other: %v", took)
	}
}

func TestTurns_LinesAreServedOneAfterTheOther(t *testing.T) {
	var s turns
	for _, caller := range []string{"much", "much", "full", "full"} {
		s.take(never, caller)
	}
	order := make(chan string)
	wait := func(caller string, done chan struct{}) {
		n := s.waiting()
		go func() {
			if s.take(done, caller) {
				order <- caller
			}
		}()
		for s.waiting() != n+1 {
			time.Sleep(time.Millisecond)
		}
	}
	for range 3 {
		wait("much", never)
	}
	gone := make(chan struct{})
	wait("gone", gone)
	wait("little", never)
	close(gone)
	for s.waiting() != 4 {
		time.Sleep(time.Millisecond)
	}
	got := ""
	for _, caller := range []string{"much", "much", "much", "little"} {
		s.give(caller)
		got += <-order + " "
	}
	if got != "much little much much " {
		t.Errorf("the turns were %s", got)
	}
	for _, caller := range []string{"much", "much", "full", "full"} {
		s.give(caller)
	}
	if s.all != 0 || len(s.taken) != 0 || len(s.lines) != 0 {
		t.Errorf("%d are taken, %v, and %v wait", s.all, s.taken, s.lines)
	}
}

// TestAnswers_OldestOfEqualsGivesWay has callers that have as much as each other, of whom the one that came last is honest.
func TestAnswers_OldestOfEqualsGivesWay(t *testing.T) { synctest.Test(t, testOldestOfEqualsGivesWay) }

func testOldestOfEqualsGivesWay(t *testing.T) {
	const callers = 8
	a := newAnswers(callers * 300 << 10)
	var cut []string
	take := func(caller string) {
		if _, ok := a.take(caller, [][]byte{make([]byte, 300<<10)}, func() { cut = append(cut, caller) }); !ok {
			t.Errorf("%s is refused", caller)
		}
		time.Sleep(time.Millisecond)
	}
	want := ""
	for i := range callers {
		take(fmt.Sprint("slow-", (i+3)%callers)) // in no order of their names
		want += fmt.Sprint("slow-", (i+3)%callers, " ")
	}
	for i := range callers {
		take(fmt.Sprint("late-", i))
	}
	if got := strings.Join(cut, " ") + " "; got != want {
		t.Errorf("the answers that gave way were %s; want the oldest first: %s", got, want)
	}
}

func (t *turns) waiting() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines {
		n += len(l.waiting)
	}
	return n
}

// TestAnswers_LargeBodyThroughWriterWithoutDeadlines has the server behind a handler that wraps its writer and cannot be unwrapped.
func TestAnswers_LargeBodyThroughWriterWithoutDeadlines(t *testing.T) {
	h := hub.New(hub.Config{})
	defer h.Close()
	n := flow.Node{ID: "a", FlowID: "F", Label: strings.Repeat("l", 3*writeAtMost), Status: "s"}
	if _, err := h.Ingest(hub.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(n)}}); err != nil {
		t.Fatal(err)
	}
	snap, err := h.Snapshot("F")
	if err != nil {
		t.Fatal(err)
	}
	s := New(h, Config{})
	for path, want := range map[string]string{"/v1/flows/F/snapshot": string(snap.JSON()), "/v1/flows/F/events": n.Label} {
		w := httptest.NewRecorder() // has no deadlines
		s.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if got := w.Body.String(); w.Code != 200 || !strings.Contains(got, want) {
			t.Errorf("%s: %d, %d bytes without the %d that it has to have", path, w.Code, len(got), len(want))
		}
	}
	if bytes, _ := s.answers.counted(); bytes != 0 {
		t.Errorf("%d bytes are still held", bytes)
	}
}

// TestAnswers_TricklingReaderIsCut has a reader take a little now and then, for longer than the whole may take.
func TestAnswers_TricklingReaderIsCut(t *testing.T) {
	for _, mode := range []string{StreamAuto, StreamPortable} {
		for _, path := range []string{"/v1/flows/F/snapshot", "/v1/flows/F/stream"} {
			t.Run(mode+path, func(t *testing.T) {
				h := hub.New(hub.Config{MaxMetaBytes: 1 << 20})
				s := New(h, Config{StreamMode: mode, WriteTimeout: 500 * time.Millisecond})
				s.slowest = 100 << 20
				srv := httptest.NewUnstartedServer(s)
				srv.Config.ConnContext = ConnContext
				srv.Start()
				defer func() { h.Close(); srv.Close(); s.Shutdown(context.Background()) }()
				for i := range 20 { // 16 MB
					n := flow.Node{ID: fmt.Sprint(i), FlowID: "F", Label: strings.Repeat("l", 800<<10), Status: "s"}
					if _, err := h.Ingest(hub.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(n)}}); err != nil {
						t.Fatal(err)
					}
				}
				conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.(*net.TCPConn).SetReadBuffer(4096)
				fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
				began, piece, total := time.Now(), make([]byte, 16<<10), 0
				for time.Since(began) < 30*time.Second {
					if bytes, _ := s.answers.counted(); bytes == 0 && time.Since(began) > 3*time.Second {
						break // what the kernel has is still to come
					}
					_ = conn.SetReadDeadline(time.Now().Add(time.Second))
					n, err := conn.Read(piece)
					total += n
					if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
				if bytes, _ := s.answers.counted(); bytes != 0 || total > 15<<20 {
					t.Errorf("it has %d bytes after %s, and %d count as held", total, time.Since(began), bytes)
				}
			})
		}
	}
}
