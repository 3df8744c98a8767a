package emit

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

const head = `{"type":"snapshot","flow":{"id":"F","status":"running","startedAt":0},"nodes":[`

// maxGrowth is the limit for the growth of the heap during requests, in bytes, including garbage that is not collected yet.
const maxGrowth = 16 << 20

// fleet writes a snapshot in which region r1 has one node and one edge, and other regions have n of each.
func fleet(w io.Writer, n int) {
	text := strings.Repeat("x", 700)
	fmt.Fprint(w, head, `{"id":"r1","flowId":"F","label":"r1","status":"x","region":"r1"}`)
	for i := range n {
		fmt.Fprintf(w, `,{"id":"r%d/n%d","flowId":"F","label":"n","status":"x","region":"r%[1]d","meta":{"message":"%[3]s"}}`, 2+i%50, i, text)
	}
	fmt.Fprint(w, `],"relationships":[{"fromId":"r2","toId":"r1","type":"finish-to-start"}`)
	for i := range n {
		fmt.Fprintf(w, `,{"fromId":"r%d/n%d","toId":"r%[1]d","type":"contains"}`, 2+i%50, i)
	}
	fmt.Fprint(w, `]}`)
}

// endless writes s repeatedly until a write fails or 500 MiB are written.
func endless(w io.Writer, s string) {
	chunk := []byte(strings.Repeat(s, 1<<20/len(s)))
	for n := 0; n < 500<<20; n += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// growth returns the largest growth of the heap while f runs, in bytes.
func growth(f func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	live := before.HeapAlloc
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		var peak uint64
		for {
			runtime.ReadMemStats(&after)
			peak = max(peak, after.HeapAlloc)
			select {
			case <-stop:
				most <- peak
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	f()
	close(stop)
	return int64(<-most) - int64(live)
}

// TestMeasure_ClientHeapIsBoundedByTheRegion gets snapshots from servers that send far more than the region, and from hostile ones.
func TestMeasure_ClientHeapIsBoundedByTheRegion(t *testing.T) {
	for _, tt := range []struct {
		name  string
		write func(io.Writer)
		want  error
		nodes int
	}{
		{"a fleet of others", func(w io.Writer) { fleet(w, 20_000) }, nil, 1},
		{"zeros", func(w io.Writer) { endless(w, "\x00") }, errNotASnapshot, 0},
		{"digits", func(w io.Writer) { endless(w, "0") }, errNotASnapshot, 0},
		{"white space", func(w io.Writer) { endless(w, " ") }, errElementTooLarge, 0},
		{"a key without end", func(w io.Writer) { fmt.Fprint(w, `{"`); endless(w, "a") }, errElementTooLarge, 0},
		{"a string without end", func(w io.Writer) { fmt.Fprint(w, `{"x":"`); endless(w, "a") }, errElementTooLarge, 0},
		{"a node without end", func(w io.Writer) { fmt.Fprint(w, head, `{"id":"r1/a","region":"r1","meta":{"a":"`); endless(w, "a") }, errElementTooLarge, 0},
		{"nesting without end", func(w io.Writer) { fmt.Fprint(w, head); endless(w, "[") }, errNotASnapshot, 0},
	} {
		for _, encoding := range []string{"identity", "gzip"} {
			t.Run(tt.name+", "+encoding, func(t *testing.T) {
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Encoding", encoding)
					if encoding == "identity" {
						tt.write(w)
						return
					}
					z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
					tt.write(z)
					_ = z.Close()
				}))
				defer s.Close()
				c := newClient(Config{URL: s.URL, FlowID: "F", Region: "r1", PostTimeout: time.Minute})
				defer c.close()
				var p part
				var err error
				grown := growth(func() { p, _, err = c.snapshot(t.Context(), "", "") })
				if !errors.Is(err, tt.want) || len(p.nodes) != tt.nodes || len(p.rels) != tt.nodes {
					t.Errorf("%d nodes, %d relationships, error %v", len(p.nodes), len(p.rels), err)
				}
				if grown > maxGrowth {
					t.Errorf("the heap grew by %d KiB", grown>>10)
				}
			})
		}
	}
}

// TestMeasure_ReadPartHeapIsBoundedByItsLimit reads a snapshot in which the region itself is larger than its limit.
func TestMeasure_ReadPartHeapIsBoundedByItsLimit(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		fmt.Fprint(w, head, `{"id":"r1/x","flowId":"F","label":"x","status":"x","region":"r1"}`)
		endless(w, `,{"id":"r1/x","flowId":"F","label":"x","status":"x","region":"r1"}`)
		w.Close()
	}()
	var err error
	if grown := growth(func() { _, err = readPart("F", "r1", r) }); !errors.Is(err, errPartTooLarge) || grown > 3*maxPart/2 {
		t.Errorf("%v after %d KiB", err, grown>>10)
	}
	r.Close()
}

// TestMeasure_ClientHeapIsBoundedForEveryAnswer has servers answer all requests with endless bodies or heads.
func TestMeasure_ClientHeapIsBoundedForEveryAnswer(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"200": func(w http.ResponseWriter) { fmt.Fprint(w, `{"detail":"`); endless(w, "a") },
		"404": func(w http.ResponseWriter) { w.WriteHeader(404); endless(w, "a") },
		"409 problem": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(409)
			fmt.Fprint(w, `{"detail":"`)
			endless(w, "a")
		},
		"head": func(w http.ResponseWriter) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nFlow-Incarnation: ")
			endless(conn, "x")
		},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
		c := newClient(Config{URL: s.URL, FlowID: "F", Region: "r1", PostTimeout: time.Minute})
		grown := growth(func() {
			if _, err := c.post(t.Context(), &batch{}, "e;epoch=1;n=1", ""); name == "head" && err == nil {
				t.Error("a request with an endless head succeeded")
			}
			_, _, _ = c.claim(t.Context(), "r1", "uid", time.Minute)
			_, _ = c.check(t.Context(), `"x"`, "")
			_, _, _ = c.snapshot(t.Context(), "", "")
		})
		if grown > maxGrowth {
			t.Errorf("%s: the heap grew by %d KiB", name, grown>>10)
		}
		c.close()
		s.Close()
	}
}
