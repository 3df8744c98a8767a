package httpapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// load posts messages to one flow, one request at a time.
type load struct {
	e   *env
	n   int
	pad string
}

// post sends messages in one request and returns the duration.
func (l *load) post(messages int) time.Duration {
	var body strings.Builder
	for range messages {
		l.n++
		body.WriteString(upsert(node(fmt.Sprintf("n%d", l.n%100), "running", fmt.Sprintf(`,"meta":{"n":%d,"pad":"%s"}`, l.n, l.pad))) + "\n")
	}
	start := time.Now()
	resp, err := l.e.client.Post(l.e.url+"/v1/flows/F/events", asNDJSON, strings.NewReader(body.String()))
	if err != nil {
		l.e.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	took := time.Since(start)
	if resp.StatusCode != http.StatusOK {
		l.e.t.Fatal(resp.Status)
	}
	return took
}

// window is a number of messages: a subscriber that is two windows behind is still within the ring of 4,096.
const window = 1000

// subscribe starts subscribers that parse the stream strictly until message last, a multiple of window, and report their first error. The
// returned function waits until every subscriber has message n, a multiple of window, or has failed.
func (e *env) subscribe(subscribers, last int) (have func(n int)) {
	marks := make([]sync.WaitGroup, last/window+1)
	for i := range marks {
		marks[i].Add(subscribers)
	}
	for i := range subscribers {
		go func() {
			passed := 0
			defer func() {
				for ; passed < len(marks); passed++ {
					marks[passed].Done()
				}
			}()
			resp, err := e.client.Get(e.url + streamF)
			if err != nil {
				e.t.Error(err)
				return
			}
			defer resp.Body.Close()
			p := parser{bufio.NewReaderSize(resp.Body, 64<<10)}
			snapshots := 0
			for want := 1; want <= last; {
				f, err := p.next()
				if err != nil {
					e.t.Errorf("subscriber %d: %v before message %d", i, err, want)
					return
				}
				switch f.event {
				case "heartbeat", "regions", "upsert-flow":
				case "snapshot":
					if snapshots++; snapshots > 1 {
						e.t.Errorf("subscriber %d: a snapshot in place of message %d", i, want)
						return
					}
					marks[0].Done() // its snapshot has none of the messages posted from now on
					passed = 1
				default:
					if !strings.Contains(f.data, fmt.Sprintf(`"n":%d,`, want)) {
						e.t.Errorf("subscriber %d: %s in place of message %d", i, f.data, want)
						return
					}
					if want%window == 0 {
						marks[passed].Done()
						passed++
					}
					want++
				}
			}
		}()
	}
	have = func(n int) { marks[n/window].Wait() }
	have(0)
	return have
}

func (e *env) stuckConn() net.Conn {
	e.t.Helper()
	conn := e.dial()
	_ = conn.(*net.TCPConn).SetReadBuffer(256 << 10)
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", streamF)
	if _, err := conn.Read(make([]byte, 1)); err != nil { // the answer begins: the connection is subscribed
		e.t.Fatal(err)
	}
	return conn
}

// TestStream_StuckSubscriberDoesNotAffectOthers has 50 subscribers follow 20,000 messages. One of them reads only after the others have all messages.
func TestStream_StuckSubscriberDoesNotAffectOthers(t *testing.T) {
	onBothWriters(t, testStuckSubscriberDoesNotAffectOthers)
}

func testStuckSubscriberDoesNotAffectOthers(t *testing.T, mode string) {
	const messages = 20_000
	// The stuck subscriber must be behind, not disconnected.
	e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode, WriteTimeout: within * 5})
	e.post(`{"type":"upsert-flow","flow":{"id":"F","status":"x","startedAt":1}}`)
	stuck := e.stuckConn()
	defer stuck.Close()
	have := e.subscribe(49, messages)
	l := &load{e: e, pad: strings.Repeat("x", 500)}
	for l.n < messages {
		if l.n%window == 0 { // subscribers must not fall behind because of other load on the machine
			have(max(l.n-2*window, 0))
		}
		l.post(10)
	}
	have(messages)
	if t.Failed() {
		return
	}
	// Now it reads: the bytes in the sockets, then a snapshot in place of the evicted messages, then the rest.
	state := &folded{}
	in := bufio.NewReader(io.MultiReader(strings.NewReader("H"), stuck))
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	head := e.do("GET", "/v1/flows/F/events?after=9007199254740991", "").body
	snapshots := 0
	p := parser{bufio.NewReader(resp.Body)}
	_ = stuck.SetReadDeadline(time.Now().Add(within))
	for !strings.Contains(head, fmt.Sprintf(`"head":%d}`, state.last)) {
		f, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		if f.event == "heartbeat" || f.event == "regions" {
			continue
		}
		if f.event == "snapshot" {
			snapshots++
		}
		state.apply(t, f)
	}
	if got, want := state.state.Snapshot().JSON(), e.snapshot(); got != want || snapshots < 2 {
		t.Errorf("after %d snapshots the stuck subscriber's state differs from the server's: %d and %d bytes", snapshots, len(got), len(want))
	}
}

// TestMeasure_StuckSubscriberDelaysNoPost compares the 99th percentile of POST with and without a subscriber that never reads, beside 49 that do.
// Short blocks of both alternate, so that other load affects both equally. A ratio above 1.10 may be noise, so it then measures more blocks.
func TestMeasure_StuckSubscriberDelaysNoPost(t *testing.T) { onBothWriters(t, measureStuckSubscriber) }

func measureStuckSubscriber(t *testing.T, mode string) {
	const block, blocks, rounds = 10, 250, 20
	type side struct {
		l    *load
		took []time.Duration
	}
	newSide := func(stuck bool) *side {
		e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode, WriteTimeout: within * 5})
		e.post(`{"type":"upsert-flow","flow":{"id":"F","status":"x","startedAt":1}}`)
		if stuck {
			conn := e.stuckConn()
			t.Cleanup(func() { conn.Close() })
		}
		for range 49 {
			resp, err := e.client.Get(e.url + streamF)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { resp.Body.Close() })
			go func() { _, _ = io.Copy(io.Discard, resp.Body) }()
		}
		return &side{l: &load{e: e, pad: strings.Repeat("x", 500)}}
	}
	with, without := newSide(true), newSide(false)
	for range 1024 { // the stuck subscriber's sockets fill up, and it falls behind the ring
		with.l.post(16)
	}
	p99 := func(s *side) time.Duration {
		sorted := slices.Sorted(slices.Values(s.took))
		return sorted[len(sorted)*99/100]
	}
	for round := 1; ; round++ {
		for range blocks {
			for _, s := range []*side{with, without} {
				for range block {
					s.took = append(s.took, s.l.post(1))
				}
			}
		}
		ratio := float64(p99(with)) / float64(p99(without))
		t.Logf("%d POST a side: p99 with a stuck subscriber %v, without %v, ratio %.3f", len(with.took), p99(with), p99(without), ratio)
		if ratio <= 1.10 {
			return
		}
		if round == rounds {
			t.Fatal("a stuck subscriber delays POST")
		}
	}
}

// TestStream_ConcurrentSubscribersAndWriters has subscribers connect, disconnect and resume while writers post, delete and create the flow. At the end
// each must have the state of the snapshot.
func TestStream_ConcurrentSubscribersAndWriters(t *testing.T) {
	onBothWriters(t, testConcurrentSubscribersAndWriters)
}

func testConcurrentSubscribersAndWriters(t *testing.T, mode string) {
	e := start(t, hub.Config{RingCapacity: 64}, httpapi.Config{StreamMode: mode})
	var writers, subscribers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for i := range 400 {
				var body bytes.Buffer
				for range 1 + r.IntN(5) {
					body.WriteString(upsert(node(fmt.Sprintf("w%d-%d", w, r.IntN(9)), fmt.Sprint("s", i))) + "\n")
				}
				if r.IntN(10) == 0 {
					body.WriteString(fmt.Sprintf(`{"type":"delete-nodes","ids":["w%d-%d"]}`+"\n", w, r.IntN(9)))
				}
				if w == 0 && i%150 == 149 {
					e.do("DELETE", "/v1/flows/F", "")
				}
				if a := e.do("POST", "/v1/flows/F/events", body.String(), "Content-Type", asNDJSON); a.status != 200 {
					t.Errorf("%d %s", a.status, a.body)
				}
			}
		})
	}
	finals := make([]string, 12)
	for n := range finals {
		subscribers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 9))
			var state folded
			for {
				resume := []string{}
				if state.last > 0 {
					resume = []string{"Last-Event-ID", fmt.Sprint(state.last)}
				}
				sub := e.watch(streamF, resume...)
				budget := 1 + r.IntN(300)
				for f := range sub.frames {
					switch f.event {
					case "heartbeat", "regions":
						continue
					case "deleted":
						state = folded{last: state.last}
						continue
					}
					state.apply(t, f)
					if strings.Contains(f.data, `"the-end"`) {
						finals[n] = state.state.Snapshot().JSON()
						sub.cancel()
						return
					}
					if budget--; budget == 0 {
						break
					}
				}
				sub.cancel()
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	writers.Wait()
	e.post(`{"type":"upsert-flow","flow":{"id":"F","status":"the-end","startedAt":1}}`)
	finished := make(chan struct{})
	go func() { subscribers.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(within):
		close(stop)
		t.Fatal("not every subscriber reaches the end")
	}
	want := e.snapshot()
	for n, got := range finals {
		m, err := flow.Decode("F", []byte(got))
		if err != nil || m.JSON() != want {
			t.Errorf("subscriber %d has\n%s\nwant\n%s", n, got, want)
		}
	}
}
