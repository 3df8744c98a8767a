package durability

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/internal/natstest"
)

// store is the storage of a server's flows, which can be killed with the server.
type store struct {
	env, args []string
	kill      func()
	start     func()
}

// stores returns constructors of empty stores, by kind.
func stores() map[string]func(*testing.T) store {
	return map[string]func(*testing.T) store{
		"embedded": func(t *testing.T) store {
			return store{args: []string{"--data-dir=" + t.TempDir()}, kill: func() {}, start: func() {}}
		},
		"NATS": func(t *testing.T) store {
			c := natstest.Start(t, 1)
			return store{env: []string{"NATS_URL=" + c.URL()}, kill: func() { c.Kill(0) }, start: func() { c.StartNode(0) }}
		},
	}
}

func remove(t testing.TB, p *process, flowID string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodDelete, p.url("/v1/flows/"+flowID), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("DELETE %s: %s", flowID, resp.Status)
	}
}

// TestServer_KilledAfterDeleteStarts deletes one of two flows, which has checkpoints, and kills server and NATS soon after.
func TestServer_KilledAfterDeleteStarts(t *testing.T) {
	t.Parallel() // mostly waits
	for kind, open := range stores() {
		for _, ring := range []int{4, 16, 256, 4096} {
			trials := 1
			if *long || kind == "embedded" && ring == 16 {
				trials = 3
			}
			t.Run(fmt.Sprint(kind, "/ring of ", ring), func(t *testing.T) {
				s := open(t)
				p := newProcess(t, s.env, append(s.args, fmt.Sprint("--ring-capacity=", ring))...)
				p.start()
				p.ready()
				number := 0
				post := func(flowID string, times int) (last int64) {
					for range times {
						number++
						body := fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"n%d","flowId":%q,"label":"l","status":"s"}]}`, number, flowID)
						last = mustPost(t, p, flowID, body, fmt.Sprintf("e;epoch=1;n=%d", number))
					}
					return last
				}
				restart := func() {
					p.kill()
					s.kill()
					s.start()
					p.start()
					p.ready()
				}
				kept := 0
				var greatest int64
				for trial := range trials {
					post("fc", 40)
					p.stop() // writes a checkpoint with any size of the ring
					p.start()
					p.ready()
					post("fc", 10)
					post("fo", []int{20, 4, 9}[trial])
					kept += []int{20, 4, 9}[trial]
					p.stop()
					p.start()
					p.ready()
					post("fc", 2)
					remove(t, p, "fc")
					again := trial == 1
					if again {
						greatest = post("fc", 3)
					}
					time.Sleep(time.Duration(10+rand.IntN(100)) * time.Millisecond)
					restart()
					text, _ := get(t, p.url("/v1/flows/fo/snapshot"))
					if n := strings.Count(text, `"label"`); n != kept {
						t.Fatalf("trial %d: %d nodes of the other flow, want %d", trial, n, kept)
					}
					resp, err := http.Get(p.url("/v1/flows/fc/snapshot"))
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					if want := map[bool]int{true: 200, false: 404}[again]; resp.StatusCode != want {
						t.Errorf("trial %d: snapshot of the deleted flow: %s, want %d", trial, resp.Status, want)
					}
					if again {
						text, _ := get(t, p.url("/v1/flows/fc/snapshot"))
						if n := strings.Count(text, `"label"`); n != 3 {
							t.Errorf("trial %d: %d nodes of the flow created again, want 3", trial, n)
						}
					}
					if got := post("fo", 1); got <= greatest {
						t.Errorf("trial %d: seq %d after %d", trial, got, greatest)
					} else {
						greatest = got
					}
					kept++
				}
			})
		}
	}
}
