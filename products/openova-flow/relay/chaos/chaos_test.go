// Package chaos kills the real relay again and again while a recording is replayed, and compares what it has told with what a relay tells that nobody kills.
// It takes two minutes and is no part of make test: make relay-chaos.
package chaos

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
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
	args   []string
	log    *os.File
}

func newTold(t *testing.T, name, server string) *told {
	dir := t.TempDir()
	s := &told{hook: &standin.Webhook{Secret: "s3cret"}, alerts: &standin.Alertmanager{}, slack: &standin.Slack{Token: "t0ken", Channel: "C0123456789"}}
	hook, alerts, slack := httptest.NewServer(s.hook), httptest.NewServer(s.alerts), httptest.NewServer(s.slack)
	t.Cleanup(hook.Close)
	t.Cleanup(alerts.Close)
	t.Cleanup(slack.Close)
	for file, text := range map[string]string{"secret": "s3cret", "token": "t0ken", "relay.yaml": fmt.Sprintf(`
server: {url: %q}
channels:
  hook: {webhook: {url: %q, secretFile: %s/secret}}
  alerts: {alertmanager: {urls: [%q]}}
  team: {slack: {channel: C0123456789, tokenFile: %s/token, apiURL: "%s/api/"}}
rules:
  - {name: all, channels: [hook, alerts, team], after: 2s, resolveAfter: 2s, updateEvery: 1s}
`, server, hook.URL, dir, alerts.URL, dir, slack.URL)} {
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
	start(t, others, []string{"FLOW_SERVER_URL=http://" + address, "FLOW_ID=bootstrap"}, adapter, "replay", "--stay", "--rebase", "--speed", *speed,
		"fsn1="+recordings+"kit-fsn1.jsonl", "hel1="+recordings+"kit-hel1.jsonl")
	began := time.Now()
	for range *kills {
		time.Sleep(200*time.Millisecond + time.Duration(random.Int64N(int64(3800*time.Millisecond))))
		kill(victim)
		victim = start(t, hurt.log, nil, relay, hurt.args...)
	}
	t.Logf("%d kills in %v", *kills, time.Since(began).Round(time.Second))
	time.Sleep(max(15*time.Second, quiet+75*time.Second-time.Since(began)))
	compare(t, calm, hurt)
}

// compare checks that the relay that was killed has told what the other one has.
func compare(t *testing.T, calm, hurt *told) {
	want, got := lives(t, calm), lives(t, hurt)
	if len(want) < 3 {
		t.Errorf("the relay that was not killed has told %v", want)
	}
	for key, phases := range want {
		if got[key] != phases {
			t.Errorf("%s: %q, want %q", key, got[key], phases)
		}
	}
	for key, phases := range got {
		if want[key] == "" {
			t.Errorf("%s: %q, want nothing", key, phases)
		}
	}
	posted := len(hurt.slack.Messages()) + len(hurt.slack.Replies()) - len(calm.slack.Messages()) - len(calm.slack.Replies())
	t.Logf("told %d, deliveries repeated to the webhook %d, more in slack %d", len(got), hurt.hook.Repeated(), posted)
	if posted < 0 || posted > 1 {
		t.Errorf("slack has %d messages and %d replies, want %d and %d", len(hurt.slack.Messages()), len(hurt.slack.Replies()), len(calm.slack.Messages()), len(calm.slack.Replies()))
	}
	if calm.alerts.Firing()+hurt.alerts.Firing() != 0 || len(calm.alerts.Alerts()) == 0 {
		t.Errorf("%+v %+v", calm.alerts.Alerts(), hurt.alerts.Alerts())
	}
	for _, a := range hurt.alerts.Alerts() {
		if a.Firing > 1 {
			t.Errorf("%v began to fire %d times", a.Labels, a.Firing)
		}
	}
	for _, faults := range [][]string{hurt.hook.Faults(), hurt.slack.Faults(), hurt.alerts.Faults()} {
		for _, f := range faults {
			t.Error(f)
		}
	}
}

// lives returns the phases of each key, without updates. No phase of an episode comes twice.
func lives(t *testing.T, s *told) map[string]string {
	all, seen := make(map[string][]string), make(map[string]bool)
	for _, n := range s.hook.Received() {
		if n.Phase == notice.Updated {
			continue
		}
		if id := n.Episode + " " + string(n.Phase); seen[id] {
			t.Errorf("%s came twice", id)
		} else {
			seen[id] = true
		}
		all[n.Key] = append(all[n.Key], string(n.Phase))
	}
	lives := make(map[string]string)
	for key, phases := range all {
		phases = slices.Compact(phases)
		lives[key] = strings.Join(phases, " ")
	}
	return lives
}
