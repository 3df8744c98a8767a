// Package chaos kills the real relay again and again while recordings are replayed, keeps it away for a while after each third time, and compares what it has
// told with what a relay tells that nobody kills. It takes minutes and is no part of make test: make relay-chaos.
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
	away  = flag.Duration("away", 15*time.Second, "how long it stays away after each third time, at most")
	speed = flag.String("speed", "5", "how many times as fast as it happened the recordings are replayed")
	seed  = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the instants")
)

const recordings = "../../adapter-flux/testdata/recordings/"

// quiet is how long nothing may work before a rollout has ended, and time for that to be told.
const quiet = 85 * time.Second

// told is a relay with services of its own.
type told struct {
	hook   *standin.Webhook
	alerts *standin.Alertmanager
	slack  *standin.Slack
	github *standin.GitHub
	traces *standin.Collector
	args   []string
	log    *os.File
	gone   []span // when it was away
}

// span is a time, in Unix milliseconds.
type span struct{ from, to int64 }

func newTold(t *testing.T, name, server string) *told {
	dir := t.TempDir()
	s := &told{hook: &standin.Webhook{Secret: "s3cret"}, alerts: &standin.Alertmanager{}, slack: &standin.Slack{Token: "t0ken", Channel: "C0123456789"},
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
		_ = cmd.Wait() // it says that it was killed
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

func TestRelay_KilledAgainAndAgain(t *testing.T) {
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
	others, err := os.Create(filepath.Join(dir, "others.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer others.Close()
	start(t, others, nil, server, "--listen-addr="+address)
	calm, hurt := newTold(t, "calm", "http://"+address), newTold(t, "hurt", "http://"+address)
	start(t, calm.log, nil, relay, calm.args...)
	// Both relays must have looked before the first rollout.
	victim := start(t, hurt.log, nil, relay, hurt.args...)
	time.Sleep(3 * time.Second)
	for id, regions := range map[string][]string{"bootstrap": {"fsn1=" + recordings + "kit-fsn1.jsonl", "hel1=" + recordings + "kit-hel1.jsonl"}, "commits": {"real=" + recordings + "real-d-kustomizations.jsonl"}} {
		start(t, others, []string{"FLOW_SERVER_URL=http://" + address, "FLOW_ID=" + id}, adapter, append([]string{"replay", "--stay", "--rebase", "--speed", *speed}, regions...)...)
	}
	began := time.Now()
	for i := range *kills {
		time.Sleep(200*time.Millisecond + time.Duration(random.Int64N(int64(3800*time.Millisecond))))
		kill(victim)
		if i%3 == 2 {
			from := time.Now().UnixMilli()
			time.Sleep(*away/3 + time.Duration(random.Int64N(int64(*away)*2/3)))
			hurt.gone = append(hurt.gone, span{from, time.Now().UnixMilli()})
		}
		victim = start(t, hurt.log, nil, relay, hurt.args...)
	}
	t.Logf("%d kills in %v", *kills, time.Since(began).Round(time.Second))
	time.Sleep(max(15*time.Second, quiet+75*time.Second-time.Since(began)))
	compare(t, calm, hurt)
}

// episode is the notices of one subject, from opened to resolved.
type episode struct {
	span
	phases  string
	outcome string // of a rollout
}

// lag is how long a relay takes to start, to look, and to wait for what has just begun, in milliseconds, at most.
const lag = 4000

// compare checks that both relays have sent the same notices. The one that was killed may lack a problem that came and went while it was away.
func compare(t *testing.T, calm, hurt *told) {
	want, got := episodes(t, calm), episodes(t, hurt)
	if len(want) < 5 {
		t.Errorf("the relay that was not killed has told %v", want)
	}
	missed := 0
	for key, of := range want {
		for _, e := range of {
			switch {
			case slices.ContainsFunc(got[key], func(o episode) bool { return o.from <= e.to && e.from <= o.to && o.outcome == e.outcome }):
			case e.outcome == "" && slices.ContainsFunc(hurt.gone, func(gone span) bool { return gone.from <= e.from+lag && e.to <= gone.to+lag }):
				missed++
			default:
				t.Errorf("%s: %v is missing in %v", key, e, got[key])
			}
		}
	}
	messages, replies := 0, 0
	for key, of := range got {
		if len(of) > len(want[key]) {
			t.Errorf("%s: %v, want %v", key, of, want[key])
		}
		for _, e := range of {
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
	more := len(hurt.slack.Messages()) + len(hurt.slack.Replies()) - messages - replies
	t.Logf("%d subjects; missed while away: %d problems; deliveries repeated to the webhook: %d; more in slack: %d; away: %d times", len(got), missed, hurt.hook.Repeated(), more, len(hurt.gone))
	if more < 0 || more > 1 {
		t.Errorf("slack has %d messages and %d replies, want %d and %d", len(hurt.slack.Messages()), len(hurt.slack.Replies()), messages, replies)
	}
	if calm.alerts.Firing() != hurt.alerts.Firing() || len(calm.alerts.Alerts()) == 0 {
		t.Errorf("%+v %+v", calm.alerts.Alerts(), hurt.alerts.Alerts())
	}
	for _, a := range hurt.alerts.Alerts() {
		if !slices.ContainsFunc(calm.alerts.Alerts(), func(b standin.Alert) bool { return maps.Equal(a.Labels, b.Labels) && a.Firing <= b.Firing }) {
			t.Errorf("%v began to fire %d times", a.Labels, a.Firing)
		}
	}
	if c, h := traces(calm), traces(hurt); len(c) == 0 || !slices.Equal(c, h) {
		t.Errorf("traces %x, want %x", h, c)
	}
	if c, h := commits(calm), commits(hurt); len(c) < 4 || !maps.Equal(c, h) {
		t.Errorf("GitHub has %v, want %v", h, c)
	}
	for _, faults := range [][]string{hurt.hook.Faults(), hurt.slack.Faults(), hurt.alerts.Faults(), hurt.github.Faults(), hurt.traces.Faults()} {
		for _, f := range faults {
			t.Error(f)
		}
	}
}

// episodes returns the episodes of each key, without updates. It fails the test if a phase of an episode comes twice.
func episodes(t *testing.T, s *told) map[string][]episode {
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

// traces returns the ids of the traces.
func traces(s *told) (ids []string) {
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
func commits(s *told) map[string]string {
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
