package durability

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	streamFiles = "jetstream/$G/streams/OPENOVA_FLOW"
	bucketFiles = "jetstream/$G/streams/KV_openova-flow-checkpoints"
)

// damaged lists the changes to a server's files.
var damaged = []struct {
	name     string
	lossless bool // no acknowledged message is lost
	do       func(dir string) error
}{
	{"nothing", true, func(string) error { return nil }},
	{"byte flipped early in the stream", false, flip(streamFiles, 0.05)},
	{"byte flipped in the middle of the stream", false, flip(streamFiles, 0.5)},
	{"byte flipped late in the stream", false, flip(streamFiles, 0.93)},
	{"byte flipped early in the bucket", false, flip(bucketFiles, 0.05)},
	{"byte flipped in the middle of the bucket", false, flip(bucketFiles, 0.5)},
	{"byte flipped late in the bucket", false, flip(bucketFiles, 0.93)},
	{"stream cut to a half", false, block(streamFiles, func(b []byte) []byte { return b[:len(b)/2] })},
	{"bucket cut to a half", false, block(bucketFiles, func(b []byte) []byte { return b[:len(b)/2] })},
	{"stream zeroed", false, block(streamFiles, func(b []byte) []byte { return make([]byte, len(b)) })},
	{"bucket zeroed", false, block(bucketFiles, func(b []byte) []byte { return make([]byte, len(b)) })},
	{"block of the stream deleted", false, gone(streamFiles + "/msgs/*.blk")},
	{"block of the bucket deleted", false, gone(bucketFiles + "/msgs/*.blk")},
	{"stream deleted", false, gone(streamFiles)},
	{"bucket deleted", false, gone(bucketFiles)},
	{"stream's meta.inf deleted", false, gone(streamFiles + "/meta.inf")},
	{"stream's meta.sum deleted", false, gone(streamFiles + "/meta.sum")},
	{"bucket's meta.inf deleted", false, gone(bucketFiles + "/meta.inf")},
	{"all files of NATS deleted", false, gone("jetstream")},
	{"indexes deleted", true, func(dir string) error {
		return errors.Join(os.RemoveAll(filepath.Join(dir, streamFiles, "msgs/index.db")), os.RemoveAll(filepath.Join(dir, bucketFiles, "msgs/index.db")))
	}},
	// A power failure leaves a part of the record that was being written, which was not acknowledged.
	{"half a record after the stream's end", true, half(streamFiles)},
	{"half a record after the bucket's end", true, half(bucketFiles)},
}

// block changes the last block of a stream.
func block(files string, change func([]byte) []byte) func(string) error {
	return func(dir string) error {
		all, _ := filepath.Glob(filepath.Join(dir, files, "msgs/*.blk"))
		if len(all) == 0 {
			return fmt.Errorf("no block in %s", files)
		}
		name := all[len(all)-1]
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(name, change(b), 0o600)
	}
}

func flip(files string, at float64) func(string) error {
	return block(files, func(b []byte) []byte {
		b[int(at*float64(len(b)))] ^= 0x20
		return b
	})
}

// half appends the first bytes of the last block to it, like a record that was not written whole.
func half(files string) func(string) error {
	return block(files, func(b []byte) []byte { return append(b, b[:40]...) })
}

func gone(pattern string) func(string) error {
	return func(dir string) error {
		all, err := filepath.Glob(filepath.Join(dir, pattern))
		if err == nil && len(all) == 0 {
			err = fmt.Errorf("no %s", pattern)
		}
		for _, name := range all {
			err = errors.Join(err, os.RemoveAll(name))
		}
		return err
	}
}

// TestServer_DamagedFilesAreReported changes the files of a killed server. Afterwards a flow has all acknowledged messages; or the server reports the
// loss, at level ERROR or by refusing to start, and the flow has a new incarnation, so that its emitters resend their state. No sequence number is
// used twice.
func TestServer_DamagedFilesAreReported(t *testing.T) {
	t.Parallel() // mostly waits
	const flows, posts = 3, 100
	base := t.TempDir()
	first := newProcess(t, nil, "--data-dir="+base, "--sync=1m", "--ring-capacity=16")
	first.start()
	first.ready()
	id := func(i int) string { return fmt.Sprint("f", i%flows) }
	body := func(i int) string {
		return fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"n%d","flowId":%q,"label":"l","status":"s"}]}`, i, id(i))
	}
	var greatest int64
	for i := range flows * posts {
		greatest = max(greatest, mustPost(t, first, id(i), body(i), fmt.Sprintf("e;epoch=1;n=%d", i+1)))
	}
	was := map[string]string{}
	for i := range flows {
		_, header := get(t, first.url("/v1/flows/"+id(i)+"/snapshot"))
		was[id(i)] = header.Get("Flow-Incarnation")
	}
	first.kill()
	for _, tt := range damaged {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
				t.Fatal(err)
			}
			if err := tt.do(dir); err != nil {
				t.Fatal(err)
			}
			p := newProcess(t, nil, "--data-dir="+dir, "--sync=1m", "--ring-capacity=16")
			starts := 0
			for ready := false; !ready; starts++ {
				if starts == 2 { // the server refuses to start until an operator restores the data
					if tt.lossless || !strings.Contains(p.log.String(), "bucket openova-flow-checkpoints") {
						t.Errorf("the server does not start, and its log does not name what to restore")
					}
					return
				}
				p.start()
				ready = p.readyOrEnds()
			}
			// The server logs damage before this line. The test may get the line later than the answer of /readyz.
			eventually(t, "logged that the flows are loaded", func() bool { return strings.Contains(p.log.String(), `msg="flows loaded"`) })
			reported := strings.Contains(p.log.String(), "level=ERROR") || starts > 1
			if tt.lossless && reported {
				t.Error("damage reported, want none")
			}
			for i := range flows {
				resp, err := http.Get(p.url("/v1/flows/" + id(i) + "/snapshot"))
				if err != nil {
					t.Fatal(err)
				}
				var text bytes.Buffer
				_, _ = text.ReadFrom(resp.Body)
				resp.Body.Close()
				have, same := strings.Count(text.String(), `"label"`), resp.Header.Get("Flow-Incarnation") == was[id(i)]
				if have != posts && (same || !reported) {
					t.Errorf("%s has %d of %d messages; same incarnation: %v, reported: %v", id(i), have, posts, same, reported)
				}
				if tt.lossless && !same {
					t.Errorf("%s has a new incarnation", id(i))
				}
				if n := mustPost(t, p, id(i), body(i), fmt.Sprintf("other;epoch=1;n=%d", i+1)); n <= greatest {
					t.Errorf("%s: seq %d after %d", id(i), n, greatest)
				}
			}
		})
	}
}

// readyOrEnds waits until the server is ready or has ended, and reports whether it is ready.
func (p *process) readyOrEnds() bool {
	p.t.Helper()
	for end := time.Now().Add(testTimeout); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.ended:
			p.cmd = nil
			return false
		default:
		}
		if resp, err := http.Get(p.url("/readyz")); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return true
			}
		}
	}
	p.t.Fatalf("neither ready nor ended:\n%s", p.log.String())
	return false
}
