package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// hostileText has markup and control characters. Every service must show it as plain text.
const hostileText = "<!channel> <!here> @here <@U1> <https://evil.example|login> [x](https://evil.example) `*_~ <b>&amp; {{ .Labels }} \x1b[2J\u202e\u0000\n::error::x\r##[error]"

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// broken returns an upsert of a release that has failed and that Flux does not repair, with any id, label and text.
func broken(region, id, label, text string) string {
	return fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":%s,"flowId":"bootstrap","label":%s,"status":"failed","region":%s,"meta":{"kind":"HelmRelease","judgement":`+
		`{"state":"broken","since":%d,"problem":true,"final":true,"cause":{"class":"install-failed","sentence":%s},"command":["kubectl","-n",%[6]s,"describe","helmrelease","x"]}}}]}`,
		quoted(id), quoted(label), quoted(region), time.Now().UnixMilli(), quoted(text), quoted(label[:min(1000, len(label))]))
}

// TestRelay_HostileTexts has a cluster send long and hostile names and texts. The webhook, Slack and Alertmanager get the
// notices of this cluster and those of another.
func TestRelay_HostileTexts(t *testing.T) {
	long := strings.Repeat("größe<&>", 12_500) // 125 KB
	for name, c := range map[string]struct{ id, label, text string }{
		"Markup": {"evil/" + hostileText, hostileText, hostileText}, "Long": {"evil/" + long, long, long[:10_000]}, "Escapes": {"evil/x", strings.Repeat("&", 9000), strings.Repeat("&", 9000)},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, someDay, func(s *stage) {
				s.relay(everything)
				s.post(broken("evil", c.id, c.label, c.text))
				s.post(failing("fsn1", "db", time.Now(), "It could not be installed."))
				time.Sleep(3 * time.Minute)
				s.post(ready("fsn1", "db"))
				s.post(fmt.Sprintf(`{"type":"delete-nodes","ids":[%s]}`, quoted(c.id)))
				time.Sleep(3 * time.Minute)
				phases := make(map[string]int)
				for _, n := range s.hook.Received() {
					phases[n.Regions[0]+" "+string(n.Phase)]++
				}
				if want := map[string]int{"evil opened": 1, "evil resolved": 1, "fsn1 opened": 1, "fsn1 resolved": 1}; !maps.Equal(phases, want) {
					t.Errorf("%v", phases)
				}
				if len(s.slack.Messages()) != 2 || len(s.slack.Replies()) != 2 || len(s.alerts.Alerts()) != 2 || s.alerts.Firing() != 0 {
					t.Errorf("%d messages, %d replies, %d alerts, %d fire", len(s.slack.Messages()), len(s.slack.Replies()), len(s.alerts.Alerts()), s.alerts.Firing())
				}
				for _, line := range strings.Split(s.log.String(), "\n") {
					if strings.Contains(line, "level=ERROR") || len(line) > 5000 {
						t.Errorf("%.300s", line)
					}
				}
			})
		})
	}
}

// TestRelay_RegionWithManyRootCauses has one region with more root causes than a queue holds, and one with a single root cause.
func TestRelay_RegionWithManyRootCauses(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.queue = 150
		s.relay(everything)
		var nodes []string
		for i := range 300 {
			one := broken("evil", fmt.Sprintf("evil/n%04d", i), fmt.Sprintf("n%04d", i), "It failed.")
			nodes = append(nodes, one[strings.Index(one, "[{")+1:len(one)-2])
		}
		s.post(`{"type":"upsert-nodes","nodes":[` + strings.Join(nodes, ",") + `]}`)
		time.Sleep(10 * time.Second)
		s.post(failing("fsn1", "db", time.Now(), "It could not be installed."))
		time.Sleep(10 * time.Minute)
		regions := make(map[string]int)
		for _, n := range s.hook.Received() {
			regions[n.Regions[0]]++
		}
		if regions["fsn1"] != 1 || regions["evil"] < 20 || regions["evil"] > 100 {
			t.Errorf("notices by region: %v", regions)
		}
	})
}

// TestRelay_MoreNoticesThanAQueueHolds has many regions fail at once while a service is away.
func TestRelay_MoreNoticesThanAQueueHolds(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.queue = 5
		s.relay("\nrules:\n  - {name: all, channels: [hook]}\n")
		s.hook.SetAway(true)
		for i := range 12 {
			s.post(failing(fmt.Sprint("r", i), fmt.Sprint("db", i), time.Now(), "It could not be installed."))
		}
		time.Sleep(5 * time.Minute)
		s.hook.SetAway(false)
		time.Sleep(10 * time.Minute)
		if got := phasesByObject(s); len(got) != 12 {
			t.Errorf("notices of %d root causes, want 12", len(got))
		}
	})
}

// TestRelay_LargeRollout has a rollout with long failures: a collector accepts at most 4 MiB in a request.
func TestRelay_LargeRollout(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.relay(everything)
		time.Sleep(time.Second)
		release := func(i int, status, more string) string {
			return fmt.Sprintf(`{"id":"fsn1/r%04d","flowId":"bootstrap","label":"r%04[1]d","status":%[2]q,"region":"fsn1","startedAt":%[3]d,%[4]s}`, i, status, time.Now().UnixMilli(), more)
		}
		text := strings.Repeat("It has failed for a reason that is long. ", 1000)
		for _, status := range []string{"running", "failed"} {
			for i := 0; i < 140; i += 20 {
				var nodes []string
				for j := range 20 {
					meta := `"meta":{"kind":"HelmRelease"}`
					if status == "failed" {
						meta = fmt.Sprintf(`"endedAt":%d,"meta":{"kind":"HelmRelease","failure":{"since":%[1]d,"message":%q}}`, time.Now().UnixMilli(), text)
					}
					nodes = append(nodes, release(i+j, status, meta))
				}
				s.post(`{"type":"upsert-nodes","nodes":[` + strings.Join(nodes, ",") + `]}`)
			}
			time.Sleep(10 * time.Second)
		}
		time.Sleep(10 * time.Minute)
		traces := s.traces.Traces()
		if len(traces) != 1 || len(traces[0]) != 141 {
			t.Fatalf("%d traces", len(traces))
		}
		ended := 0
		for _, n := range s.hook.Received() {
			if n.Kind == notice.KindRollout && n.Phase == notice.Resolved {
				ended++
			}
		}
		if ended != 1 {
			t.Errorf("%d notices of an ended rollout", ended)
		}
	})
}

// TestRelay_SecretsAreNotLogged has services echo credentials in their errors.
func TestRelay_SecretsAreNotLogged(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.write("secret", "hmac-s3cret")
		s.write("token", "xoxb-s3cret")
		echo := func(kind string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
				if kind == "ok" {
					fmt.Fprintf(w, `{"ok":false,"error":%q}`, token)
					return
				}
				w.WriteHeader(http.StatusForbidden)
				body, _ := io.ReadAll(r.Body)
				fmt.Fprintf(w, `{"message":%q}`, fmt.Sprint(token, r.Header, string(body[:min(100, len(body))])))
			}
		}
		s.handle("hook", echo("forbidden"))
		s.handle("slack", echo("ok"))
		s.handle("github", echo("forbidden"))
		s.handle("collector", echo("forbidden"))
		s.relay(everything + commits)
		s.post(failing("fsn1", "db", time.Now(), "It could not be installed."))
		s.postBatch(revisions("fsn1", hash("1"), hash("0")))
		time.Sleep(5 * time.Minute)
		log := s.log.String()
		if strings.Contains(log, "s3cret") {
			t.Errorf("%s", log)
		}
		for _, channel := range []string{"hook", "team", "commits"} {
			if !strings.Contains(log, "channel="+channel) {
				t.Errorf("no log line has channel=%s", channel)
			}
		}
	})
}

// failingLists fails each request for a list of rollouts, and counts them.
type failingLists struct {
	http.RoundTripper
	requests *atomic.Int32
}

func (f failingLists) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/rollouts") {
		f.requests.Add(1)
		return nil, errors.New("no answer")
	}
	return f.RoundTripper.RoundTrip(r)
}

// TestRelay_RetriesListsAtABoundedRate has a server whose stream works and whose lists of rollouts do not.
func TestRelay_RetriesListsAtABoundedRate(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		requests := new(atomic.Int32)
		s.own.Transport = failingLists{s.own.Transport, requests}
		s.post(ready("fsn1", "db"))
		s.relay(everything)
		time.Sleep(time.Minute)
		if n := requests.Load(); n < 10 || n > 25 {
			t.Errorf("%d requests in a minute, want 10 to 25", n)
		}
	})
}
