//go:build linux

package load

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTally_CountsMessagesInPiecesOfEverySize(t *testing.T) {
	request := newRequest("h", "F", 0, 7, 400)
	var stream string
	const messages = 5
	for i := range messages {
		request.set(i, int64(1000*i))
		_, data, _ := strings.Cut(string(request.bytes), "\r\n\r\n")
		if len(data) != 400 {
			t.Fatalf("a message of %d bytes: %s", len(data), data)
		}
		stream += fmt.Sprintf("id: %d\nevent: upsert-nodes\ndata: %s\n\n", 10+i, data)
	}
	stream = "event: heartbeat\ndata: {}\n\nid: 9\nevent: snapshot\ndata: {}\n\n: a comment\n\n" + stream
	var chunks string
	for rest := stream; rest != ""; {
		n := min(len(rest), 171)
		chunks += fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
	}
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	for name, whole := range map[string]string{
		"until close": head + "\r\n" + stream,
		"chunked":     head + "Transfer-Encoding: chunked\r\n\r\n" + chunks,
	} {
		t.Run(name, func(t *testing.T) {
			for size := 1; size <= len(whole); size++ {
				ta := tally{mark: markOf(7), ids: make([]int64, messages)}
				r := &reader{seen: make([]uint64, 1)}
				for rest := whole; rest != ""; {
					n := min(size, len(rest))
					b := append(append([]byte(nil), r.carry...), rest[:n]...)
					if err := ta.take(r, b, len(r.carry), 5000); err != nil {
						t.Fatal(err)
					}
					rest = rest[n:]
				}
				var res Result
				ta.result([]*reader{r}, []int64{10, 11, 12, 13, 14}, 0, &res)
				if res.Delivered != messages || res.Wrong() != "" || res.Resyncs != 0 || res.Chunked != (name == "chunked") || res.Worst != 5000 {
					t.Fatalf("in pieces of %d: %+v", size, res)
				}
			}
		})
	}
}

func TestHistogram_QuantilesAreWithinOnePercent(t *testing.T) {
	var h histogram
	for i := int64(1); i <= 1_000_000; i++ {
		h.add(i)
	}
	for _, p := range []float64{0.001, 0.5, 0.99, 0.999, 1} {
		if got, want := float64(h.quantile(p)), p*1e6; got < want || got > 1.01*want {
			t.Errorf("quantile %v is %v, want %v", p, got, want)
		}
	}
	for v := range int64(100_000) {
		if s := step(v); stepEnd(s) < v || s > 0 && stepEnd(s-1) >= v {
			t.Fatalf("%d is in step %d, which ends at %d", v, s, stepEnd(s))
		}
	}
}

// FuzzFramesInPieces compares a body read in one piece with the same body cut in two.
func FuzzFramesInPieces(f *testing.F) {
	f.Add([]byte("id: 5\nevent: a\ndata: {}\n\n: x\n\ndata: y\n\n"), 7, false)
	f.Add([]byte("1a\r\nid: 5\nevent: a\ndata: {}\n\n\r\n0\r\n\r\n"), 3, true)
	f.Fuzz(func(t *testing.T, data []byte, at int, chunked bool) {
		at = max(0, min(at, len(data)))
		read := func(pieces ...[]byte) (frames []string) {
			d, left := body{chunked: chunked}, []byte(nil)
			for _, p := range pieces {
				left = append(left, d.strip(bytes.Clone(p))...)
				for {
					fr, rest, ok := cutFrame(left)
					if !ok {
						break
					}
					frames = append(frames, fmt.Sprintf("%d %s %s", fr.id, fr.event, fr.data))
					left = rest
				}
			}
			return frames
		}
		if whole, cut := read(data), read(data[:at], data[at:]); !slices.Equal(whole, cut) {
			t.Fatalf("%q, cut at %d, gives %q and not %q", data, at, cut, whole)
		}
	})
}
