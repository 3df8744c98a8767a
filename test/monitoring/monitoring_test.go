package monitoring

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"sigs.k8s.io/yaml"
)

// The recordings are played five times as fast. The alerts' durations are divided by 300, so that five minutes are 1 s and an hour is 12 s: the rollout takes 65 s.
const (
	speed   = 5
	shorter = 300
)

// threshold is the number of seconds in an alert's expression.
var threshold = regexp.MustCompile(`> (\d{3,})$`)

// shortened returns the chart's alerts with shorter durations.
func (s *stage) shortened() string {
	s.Helper()
	text, err := os.ReadFile("../../platform/openova-flow-server/chart/alerts.yaml")
	if err != nil {
		s.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string           `json:"name"`
			Rules []map[string]any `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		s.Fatal(err)
	}
	for _, rule := range file.Groups[0].Rules {
		if lasts, ok := rule["for"].(string); ok {
			d, err := model.ParseDuration(lasts)
			if err != nil {
				s.Fatal(err)
			}
			rule["for"] = (d / shorter).String()
		}
		rule["expr"] = threshold.ReplaceAllStringFunc(rule["expr"].(string), func(m string) string {
			n, err := strconv.ParseFloat(threshold.FindStringSubmatch(m)[1], 64)
			if err != nil {
				s.Fatal(err)
			}
			return fmt.Sprintf("> %g", n/shorter)
		})
	}
	out, err := yaml.Marshal(file)
	if err != nil {
		s.Fatal(err)
	}
	return string(out)
}

// pager is what Alertmanager notifies.
type pager struct {
	mu   sync.Mutex
	says map[string]string // by alert: the states that it was notified of, without repetitions
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Alerts []struct {
			Status string
			Labels map[string]string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range in.Alerts {
		l := a.Labels
		subject := strings.Join(slices.DeleteFunc([]string{l["from"], l["alertname"], l["severity"], l["flow"], l["region"], l["node"], l["object"]}, func(s string) bool { return s == "" }), " ")
		if !strings.HasSuffix(p.says[subject], a.Status) {
			p.says[subject] = strings.TrimSpace(p.says[subject] + " " + a.Status)
		}
	}
}

// notified returns what Alertmanager has notified.
func (p *pager) notified() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.says)
}

// TestMonitoring replays recordings with everything that watches them, and checks what Alertmanager notifies.
func TestMonitoring(t *testing.T) {
	s := &stage{T: t, dir: t.TempDir()}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		s.build(name)
	}
	server, alerts, prometheus := s.free(), s.free(), s.free()
	pager := &pager{says: make(map[string]string)}
	defer func() {
		for alert, states := range pager.notified() {
			t.Log(alert, states)
		}
	}()
	hook := httptest.NewServer(pager)
	defer hook.Close()

	s.start(nil, "openova-flow-server", "--listen-addr="+server, "--log-level=warn")
	s.start(nil, "alertmanager", "--config.file="+s.write("alertmanager.yaml", `
route: {receiver: pager, group_by: ['...'], group_wait: 100ms, group_interval: 500ms, repeat_interval: 1h}
receivers: [{name: pager, webhook_configs: [{url: "`+hook.URL+`"}]}]
`), "--storage.path="+s.dir+"/alertmanager.data", "--web.listen-address="+alerts, "--cluster.listen-address=")
	s.write("alerts.yaml", s.shortened())
	s.start(nil, "prometheus", "--config.file="+s.write("prometheus.yaml", `
global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {from: prometheus}}
rule_files: [alerts.yaml]
alerting: {alertmanagers: [{static_configs: [{targets: ["`+alerts+`"]}]}]}
scrape_configs:
  - job_name: openova-flow-server
    static_configs: [{targets: ["`+server+`"], labels: {namespace: openova-flow}}]
`), "--storage.tsdb.path="+s.dir+"/prometheus.data", "--web.listen-address="+prometheus, "--rules.alert.resend-delay=1s")
	for _, url := range []string{"http://" + server + "/readyz", "http://" + alerts + "/-/ready", "http://" + prometheus + "/-/ready"} {
		s.answers(url)
	}
	relay := s.free()
	s.start(nil, "openova-flow-relay", "run", "--config="+s.write("relay.yaml", `
server: {url: "http://`+server+`"}
channels:
  alerts: {alertmanager: {urls: ["http://`+alerts+`"], labels: {from: relay}, resend: 5s}}
rules: [{name: all, channels: [alerts], flows: [bootstrap], after: 5s, resolveAfter: 2s, updateEvery: 1s}]
`), "--outbox="+s.dir+"/relay.db", "--listen-addr="+relay)
	s.answers("http://" + relay + "/readyz")

	replay := func(flow, speed string, tapes ...string) *process {
		env := []string{"FLOW_SERVER_URL=http://" + server, "FLOW_ID=" + flow, "REGION_TTL=5s", "LOG_LEVEL=warn"}
		args := append([]string{"replay", "--stay", "--speed", speed}, tapes...)
		if speed != "max" {
			args = slices.Insert(args, 1, "--rebase")
		}
		return s.start(env, "openova-flow-adapter-flux", args...)
	}
	replayed := func(p *process) {
		s.Helper()
		s.until("the recordings are replayed", 2*time.Minute, func() bool { return strings.Contains(p.out.String(), "replayed\n") })
	}
	fires := func(states string, alerts ...string) {
		s.Helper()
		for _, a := range alerts {
			s.until(a+": "+states, 30*time.Second, func() bool { return pager.notified()[a] == states })
		}
	}
	kits := replay("bootstrap", fmt.Sprint(speed), "fsn1="+recordings+"kit-fsn1.jsonl", "hel1="+recordings+"kit-hel1.jsonl")
	sources := replay("kustomizations", fmt.Sprint(speed), "real="+recordings+"real-d-kustomizations.jsonl")
	replayed(sources)
	sources.kill()
	fires("firing", "prometheus OpenovaFlowRegionStale warning kustomizations real")
	sources = replay("kustomizations", "max", "real="+recordings+"real-d-kustomizations.jsonl")
	fires("firing resolved", "prometheus OpenovaFlowRegionStale warning kustomizations real")
	replayed(kits)

	// The flow is deleted, so nothing of it is wrong.
	sources.kill()
	request, err := http.NewRequest(http.MethodDelete, "http://"+server+"/v1/flows/kustomizations", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusNoContent {
		t.Fatal(response, err)
	}
	response.Body.Close()
	want := map[string]string{
		"prometheus OpenovaFlowRootCause critical bootstrap hel1 hel1/bp-powerdns":               "firing resolved",
		"prometheus OpenovaFlowProblemPersists warning bootstrap hel1":                           "firing resolved",
		"prometheus OpenovaFlowProblemPersists warning bootstrap fsn1":                           "firing resolved firing resolved", // bp-seaweedfs, then bp-keycloak
		"prometheus OpenovaFlowRolloutStuck warning bootstrap":                                   "firing resolved",
		"relay OpenovaFlowRootCause warning bootstrap fsn1 HelmRelease/flux-system/bp-seaweedfs": "firing resolved",
		"relay OpenovaFlowRootCause warning bootstrap fsn1 HelmRelease/flux-system/bp-keycloak":  "firing resolved",
		"relay OpenovaFlowRootCause warning bootstrap hel1 HelmRelease/flux-system/bp-loki":      "firing resolved", // suspended, and others wait for it
		"relay OpenovaFlowRootCause warning bootstrap hel1 HelmRelease/flux-system/bp-powerdns":  "firing resolved",
		"relay OpenovaFlowRootCause critical bootstrap hel1 HelmRelease/flux-system/bp-powerdns": "firing resolved",
	}
	// A rollout ends a minute after the last work.
	s.until("all alerts are resolved", 2*time.Minute, func() bool {
		for _, states := range pager.notified() {
			if !strings.HasSuffix(states, "resolved") {
				return false
			}
		}
		return true
	})
	got := pager.notified()
	for alert, states := range got {
		if strings.Contains(alert, " bootstrap") && want[alert] != states {
			t.Errorf("%s: %s, want %q", alert, states, want[alert])
		}
	}
	for alert := range want {
		if got[alert] == "" {
			t.Errorf("%s: nothing", alert)
		}
	}
}
