// Package chaos kills the real relay again and again while recordings are replayed. After each third kill the relay stays away for a while. At the end it
// must have reported the same as a relay that was not killed, except problems that came and went while it was away. Updates are not compared. The test takes
// minutes, and make test skips it: make relay-chaos.
package chaos

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/internal/standin"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

var (
	kills = flag.Int("kills", 0, "how often the relay is killed; 0: the test is skipped")
	away  = flag.Duration("away", 15*time.Second, "the longest time for which the relay stays away after each third kill")
	speed = flag.String("speed", "5", "speed of the replays, as a multiple of the recorded speed")
	seed  = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random times of the kills")
)

const recordings = "../../adapter-flux/testdata/recordings/"

// quiet is how long a rollout must be idle until it counts as ended, plus the time until its notice is sent.
const quiet = 85 * time.Second

// replays is longer than the longest replay takes at the default speed: 67 s.
const replays = 75 * time.Second

// rig has the services of one relay, and the relay's arguments and log.
type rig struct {
	hook   *standin.Webhook
	alerts *standin.Alertmanager
	slack  *standin.Slack
	github *standin.GitHub
	traces *standin.Collector
	args   []string
	log    *os.File
	away   []span // when the relay was not running, after each third kill
}

// span is a period, in Unix milliseconds.
type span struct{ from, to int64 }

func newRig(t *testing.T, name, server string) *rig {
	dir := t.TempDir()
	s := &rig{hook: &standin.Webhook{Secret: "s3cret"}, alerts: &standin.Alertmanager{}, slack: &standin.Slack{Token: "t0ken", Channel: "C0123456789"},
		github: &standin.GitHub{Token: "t0ken", Repo: "acme/fleet"}, traces: &standin.Collector{}}
	serve := func(h http.Handler) string {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv.URL
	}
	for file, text := range map[string]string{"secret": "s3cret", "token": "t0ken", "relay.yaml": fmt.Sprintf(`
server: {url: %[1]q}
channels:
  hook: {webhook: {url: %[2]q, secretFile: %[3]s/secret}}
  alerts: {alertmanager: {urls: [%[4]q]}}
  team: {slack: {channel: C0123456789, tokenFile: %[3]s/token, apiURL: "%[5]s/api/"}}
  traces: {otel: {url: %[6]q, protocol: http}}
  commits: {github: {apiURL: %[7]q, tokenFile: %[3]s/token, repositories: [{name: acme/fleet, sources: ["http://127.0.0.1:18420/git/dd"]}]}}
rules:
  - {name: all, channels: [hook, alerts, team, traces], after: 2s, resolveAfter: 2s, updateEvery: 1s}
  - {name: commits, channels: [commits], kinds: [revision], regions: [real], after: 0s, resolveAfter: 2s, updateEvery: 1s}
`, server, serve(s.hook), dir, serve(s.alerts), serve(s.slack), serve(s.traces), serve(s.github))} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.log, err = os.Create(filepath.Join(dir, name+".log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if text, err := os.ReadFile(s.log.Name()); err == nil && t.Failed() {
			t.Logf("%s:\n%s", name, text[max(0, len(text)-8000):])
		}
		s.log.Close()
	})
	s.args = []string{"run", "--config", filepath.Join(dir, "relay.yaml"), "--outbox", filepath.Join(dir, "relay.db"), "--listen-addr", "127.0.0.1:0"}
	return s
}

// start starts a program, which is killed at the end of the test.
func start(t *testing.T, log *os.File, env []string, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	return cmd
}

func kill(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait() // the error says that the process was killed
	}
}

func build(t *testing.T, dir, module, program string) string {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, program), "./cmd/"+program)
	cmd.Dir = filepath.Join("../..", module)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, program)
}

func TestRelay_KillsLoseAndRepeatNoNotice(t *testing.T) {
	if *kills == 0 {
		t.Skip("make relay-chaos")
	}
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	dir := t.TempDir()
	server, adapter, relay := build(t, dir, "server", "openova-flow-server"), build(t, dir, "adapter-flux", "openova-flow-adapter-flux"), build(t, dir, "relay", "openova-flow-relay")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	otherLog, err := os.Create(filepath.Join(dir, "others.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer otherLog.Close()
	start(t, otherLog, nil, server, "--listen-addr="+address)
	steady, killed := newRig(t, "steady", "http://"+address), newRig(t, "killed", "http://"+address)
	start(t, steady.log, nil, relay, steady.args...)
	// Both relays must have looked before the first rollout.
	victim := start(t, killed.log, nil, relay, killed.args...)
	time.Sleep(3 * time.Second)
	for id, regions := range map[string][]string{"bootstrap": {"fsn1=" + recordings + "kit-fsn1.jsonl", "hel1=" + recordings + "kit-hel1.jsonl"}, "commits": {"real=" + recordings + "real-d-kustomizations.jsonl"}} {
		start(t, otherLog, []string{"FLOW_SERVER_URL=http://" + address, "FLOW_ID=" + id}, adapter, append([]string{"replay", "--stay", "--rebase", "--speed", *speed}, regions...)...)
	}
	began := time.Now()
	for i := range *kills {
		time.Sleep(200*time.Millisecond + time.Duration(random.Int64N(int64(3800*time.Millisecond))))
		kill(victim)
		if i%3 == 2 {
			from := time.Now().UnixMilli()
			time.Sleep(*away/3 + time.Duration(random.Int64N(int64(*away)*2/3)))
			killed.away = append(killed.away, span{from, time.Now().UnixMilli()})
		}
		victim = start(t, killed.log, nil, relay, killed.args...)
	}
	t.Logf("%d kills in %v", *kills, time.Since(began).Round(time.Second))
	time.Sleep(max(15*time.Second, quiet+replays-time.Since(began)))
	compare(t, steady, killed)
}

// episode is the notices of one subject, from opened to resolved.
type episode struct {
	span
	phases  string
	outcome string // of a rollout
}

// lag, in milliseconds, is the longest time that a relay takes to start, to look, and to wait until a new problem is due.
const lag = 4000

// compare checks that both relays have reported the same. The one that was killed may lack a problem that came and went while it was away.
func compare(t *testing.T, steady, killed *rig) {
	want, got := episodes(t, steady), episodes(t, killed)
	if len(want) < 5 {
		t.Errorf("the relay that was not killed has sent only %v", want)
	}
	missed := 0
	for key, wanted := range want {
		for _, e := range wanted {
			switch {
			case slices.ContainsFunc(got[key], func(o episode) bool { return o.from <= e.to && e.from <= o.to && o.outcome == e.outcome }):
			case e.outcome == "" && slices.ContainsFunc(killed.away, func(away span) bool { return away.from <= e.from+lag && e.to <= away.to+lag }):
				missed++
			default:
				t.Errorf("%s: %v is missing in %v", key, e, got[key])
			}
		}
	}
	messages, replies := 0, 0
	for key, sent := range got {
		if len(sent) > len(want[key]) {
			t.Errorf("%s: %v, want %v", key, sent, want[key])
		}
		for _, e := range sent {
			messages++
			switch {
			case e.phases == "opened resolved":
				replies++
			case e.phases == "resolved" && e.outcome != "":
			case e.phases == "opened" && slices.ContainsFunc(want[key], func(o episode) bool { return o.phases == "opened" }):
			default:
				t.Errorf("%s: %v", key, e)
			}
		}
	}
	more := len(killed.slack.Messages()) + len(killed.slack.Replies()) - messages - replies
	t.Logf("%d subjects; missed while away: %d problems; deliveries repeated to the webhook: %d; more in slack: %d; away: %d times", len(got), missed, killed.hook.Repeated(), more, len(killed.away))
	if more < 0 || more > 1 {
		t.Errorf("slack has %d messages and %d replies, want %d and %d", len(killed.slack.Messages()), len(killed.slack.Replies()), messages, replies)
	}
	if steady.alerts.Firing() != killed.alerts.Firing() || len(steady.alerts.Alerts()) == 0 {
		t.Errorf("alerts are %+v, want %+v", killed.alerts.Alerts(), steady.alerts.Alerts())
	}
	for _, a := range killed.alerts.Alerts() {
		if !slices.ContainsFunc(steady.alerts.Alerts(), func(b standin.Alert) bool { return maps.Equal(a.Labels, b.Labels) && a.Firing <= b.Firing }) {
			t.Errorf("%v began to fire %d times", a.Labels, a.Firing)
		}
	}
	if want, got := traces(steady), traces(killed); len(want) == 0 || !slices.Equal(want, got) {
		t.Errorf("traces %x, want %x", got, want)
	}
	if want, got := commits(steady), commits(killed); len(want) < 4 || !maps.Equal(want, got) {
		t.Errorf("GitHub has %v, want %v", got, want)
	}
	for _, faults := range [][]string{killed.hook.Faults(), killed.slack.Faults(), killed.alerts.Faults(), killed.github.Faults(), killed.traces.Faults()} {
		for _, f := range faults {
			t.Error(f)
		}
	}
}

// episodes returns the episodes of each key, without updates. It fails the test if a phase of an episode comes twice.
func episodes(t *testing.T, s *rig) map[string][]episode {
	all, at := make(map[string][]episode), make(map[string]int)
	for _, n := range s.hook.Received() {
		if n.Phase == notice.Updated {
			continue
		}
		i, ok := at[n.Episode]
		if !ok {
			i = len(all[n.Key])
			at[n.Episode], all[n.Key] = i, append(all[n.Key], episode{span: span{n.Since, math.MaxInt64}})
		}
		e := &all[n.Key][i]
		if strings.Contains(e.phases, string(n.Phase)) {
			t.Errorf("%s %s came twice", n.Episode, n.Phase)
		}
		e.phases = strings.TrimSpace(e.phases + " " + string(n.Phase))
		if n.Phase == notice.Resolved {
			if e.to = n.Until; n.Rollout != nil {
				e.outcome = n.Rollout.Outcome
			}
		}
	}
	return all
}

func traces(s *rig) (ids []string) {
	for _, spans := range s.traces.Traces() {
		for _, span := range spans {
			ids = append(ids, string(span.TraceId))
			break
		}
	}
	slices.Sort(ids)
	return ids
}

// commits returns the last states of commits and deployments.
func commits(s *rig) map[string]string {
	last := make(map[string]string)
	for _, c := range s.github.Statuses() {
		last[c.SHA] = c.State
	}
	for _, d := range s.github.Deployments() {
		if len(d.States) > 0 {
			last[d.SHA+" "+d.Environment] = d.States[len(d.States)-1]
		}
	}
	return last
}
