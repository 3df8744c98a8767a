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

// The recordings of the bootstrap are played five times as fast, so that its rollout takes about a minute. The alerts' durations are divided by 300: five minutes
// are 1 s, an hour is 12 s.
const (
	speed   = 5
	shorter = 300
)

// threshold matches the number of seconds at the end of an alert's expression, but not a week, which has six digits.
var threshold = regexp.MustCompile(`> (\d{3,5})$`)

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

// pager is the receiver of Alertmanager's notifications.
type pager struct {
	mu     sync.Mutex
	states map[string]string // by alert: the states that Alertmanager has notified, each only when it differs from the previous one
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
		subject := strings.Join(slices.DeleteFunc([]string{l["from"], l["alertname"], l["severity"], l["flow"], l["region"], l["node"], l["object"], l["kind"]}, func(s string) bool { return s == "" }), " ")
		if !strings.HasSuffix(p.states[subject], a.Status) {
			p.states[subject] = strings.TrimSpace(p.states[subject] + " " + a.Status)
		}
	}
}

func (s *stage) firstLines(file string, n int) string {
	s.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		s.Fatal(err)
	}
	return strings.Join(strings.SplitAfter(string(text), "\n")[:n], "")
}

func (p *pager) notified() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.states)
}

// run starts all parts but the adapters. Alertmanager notifies hook.
func (s *stage) run(hook string) {
	s.Helper()
	alerts, prometheus, relay := s.free(), s.free(), s.free()
	s.server = s.free()
	s.start(nil, "openova-flow-server", "--listen-addr="+s.server, "--log-level=warn")
	s.start(nil, "alertmanager", "--config.file="+s.write("alertmanager.yaml", `
route: {receiver: pager, group_by: ['...'], group_wait: 100ms, group_interval: 500ms, repeat_interval: 1h}
receivers: [{name: pager, webhook_configs: [{url: "`+hook+`"}]}]
`), "--storage.path="+s.dir+"/alertmanager.data", "--web.listen-address="+alerts, "--cluster.listen-address=")
	s.write("alerts.yaml", s.shortened())
	s.start(nil, "prometheus", "--config.file="+s.write("prometheus.yaml", `
global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {from: prometheus}}
rule_files: [alerts.yaml]
alerting: {alertmanagers: [{static_configs: [{targets: ["`+alerts+`"]}]}]}
scrape_configs:
  - job_name: openova-flow-server
    static_configs: [{targets: ["`+s.server+`"], labels: {namespace: openova-flow}}]
`), "--storage.tsdb.path="+s.dir+"/prometheus.data", "--web.listen-address="+prometheus, "--rules.alert.resend-delay=1s")
	s.overGRPC, s.overHTTP = s.jaeger(), s.jaeger()
	for _, url := range []string{s.server + "/readyz", alerts + "/-/ready", prometheus + "/-/ready", s.overGRPC.query + "/api/v3/services", s.overHTTP.query + "/api/v3/services"} {
		s.answers("http://" + url)
	}
	s.start(nil, "openova-flow-relay", "run", "--config="+s.write("relay.yaml", `
server: {url: "http://`+s.server+`"}
channels:
  alerts: {alertmanager: {urls: ["http://`+alerts+`"], labels: {from: relay}, resend: 5s}}
  grpc: {otel: {url: "http://`+s.overGRPC.grpc+`"}}
  http: {otel: {url: "http://`+s.overHTTP.http+`", protocol: http}}
rules:
  - {name: all, channels: [alerts], flows: [bootstrap], after: 5s, resolveAfter: 2s, updateEvery: 1s}
  - {name: traces, channels: [grpc, http], flows: [bootstrap, fleet], kinds: [rollout]}
`), "--outbox="+s.dir+"/relay.db", "--listen-addr="+relay)
	s.answers("http://" + relay + "/readyz")
}

// replay starts a replay of recordings, which then renews the claims of its regions until it is stopped.
func (s *stage) replay(flow, speed string, tapes ...string) *process {
	s.Helper()
	args := append([]string{"replay", "--stay", "--speed", speed}, tapes...)
	if speed != "max" {
		args = slices.Insert(args, 1, "--rebase")
	}
	return s.start([]string{"FLOW_SERVER_URL=http://" + s.server, "FLOW_ID=" + flow, "REGION_TTL=5s", "LOG_LEVEL=warn"}, "openova-flow-adapter-flux", args...)
}

// replayed waits until all events of a replay are at the server.
func (s *stage) replayed(p *process) {
	s.Helper()
	s.until("the recordings are replayed", 2*time.Minute, func() bool { return strings.Contains(p.out.String(), "replayed\n") })
}

func (s *stage) send(method, path, body string) {
	s.Helper()
	request, err := http.NewRequest(method, "http://"+s.server+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode >= 300 {
		s.Fatal(method, path, response.Status)
	}
}

// releases returns a message with two releases that have been in a state since an instant. The id of the second one is too long for the metrics.
func releases(state string, since time.Time) string {
	node := func(id string) string {
		return fmt.Sprintf(`{"id":%q,"flowId":"suspended","label":"loki","region":"fsn1","status":"succeeded","meta":{"kind":"HelmRelease","judgement":{"state":%q,"gate":"pass","since":%d}}}`, id, state, since.UnixMilli())
	}
	return `{"type":"upsert-nodes","nodes":[` + node("fsn1/loki") + `,` + node("fsn1/"+strings.Repeat("x", 300)) + `]}`
}

// TestMonitoring_AlertsAndTracesOfRecordings replays recordings while all parts run, and checks what Alertmanager notifies and which traces Jaeger has.
func TestMonitoring_AlertsAndTracesOfRecordings(t *testing.T) {
	s := &stage{T: t, dir: t.TempDir()}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		s.build(name)
	}
	pager := &pager{states: make(map[string]string)}
	defer func() {
		for alert, states := range pager.notified() {
			t.Log(alert, states)
		}
	}()
	hook := httptest.NewServer(pager)
	defer hook.Close()
	s.run(hook.URL)

	fires := func(states string, alerts ...string) {
		s.Helper()
		for _, a := range alerts {
			s.until(a+": "+states, 30*time.Second, func() bool { return pager.notified()[a] == states })
		}
	}
	faster := fmt.Sprint(speed)
	kits := s.replay("bootstrap", faster, "fsn1="+recordings+"kit-fsn1.jsonl", "hel1="+recordings+"kit-hel1.jsonl")
	s.replay("fleet", faster, "real="+recordings+"real-a-bootstrap.jsonl")
	deadSource := s.replay("source", "600", "fsn1="+cases+"24-git-source-dead-all-ready.jsonl")
	sources := s.replay("kustomizations", faster, "real="+recordings+"real-d-kustomizations.jsonl")

	forgotten := []string{"prometheus OpenovaFlowForgottenSuspension info suspended fsn1 fsn1/loki", "prometheus OpenovaFlowMetricsLeftOut info suspended_node"}
	s.send("POST", "/v1/flows/suspended/events", releases("suspended", time.Now().AddDate(0, 0, -8)))
	fires("firing", forgotten...)
	s.send("POST", "/v1/flows/suspended/events", releases("ready", time.Now()))
	fires("firing resolved", forgotten...)

	s.replayed(sources)
	sources.kill()
	fires("firing", "prometheus OpenovaFlowRegionStale warning kustomizations real")
	sources = s.replay("kustomizations", "max", "real="+recordings+"real-d-kustomizations.jsonl")
	fires("firing resolved", "prometheus OpenovaFlowRegionStale warning kustomizations real")

	// A source is stale after a minute.
	fires("firing", "prometheus OpenovaFlowSourceStale warning source fsn1")
	deadSource.kill()
	s.replay("source", "600", "fsn1="+s.write("source.jsonl", s.firstLines(cases+"24-git-source-dead-all-ready.jsonl", 3)))
	fires("firing resolved", "prometheus OpenovaFlowSourceStale warning source fsn1")
	s.replayed(kits)

	// The alerts of the flow kustomizations resolve once it is deleted.
	sources.kill()
	s.send("DELETE", "/v1/flows/kustomizations", "")
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
			t.Errorf("%s: not notified", alert)
		}
	}
	for _, flow := range []string{"bootstrap", "fleet"} {
		s.checkTraces(flow)
	}
}
