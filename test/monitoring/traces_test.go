package monitoring

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"testing"
	"time"
)

// jaeger has the addresses of a Jaeger: of its two receivers of traces, and of its query API.
type jaeger struct{ grpc, http, query string }

// jaeger starts a Jaeger that keeps traces in memory.
func (s *stage) jaeger() jaeger {
	s.Helper()
	j := jaeger{s.free(), s.free(), s.free()}
	const unused = "127.0.0.1:0"
	s.start([]string{"OTEL_TRACES_SAMPLER=always_off"}, "jaeger", "--collector.otlp.grpc.host-port="+j.grpc, "--collector.otlp.http.host-port="+j.http, "--query.http-server.host-port="+j.query,
		"--collector.grpc-server.host-port="+unused, "--collector.http-server.host-port="+unused, "--query.grpc-server.host-port="+unused, "--admin.http.host-port="+unused)
	return j
}

// span is a span, with the names of OTLP's JSON.
type span struct {
	TraceID, SpanID, ParentSpanID      string
	Name                               string
	StartTimeUnixNano, EndTimeUnixNano int64 `json:",string"`
	Attributes                         attributes
	Events                             []struct {
		Name         string
		TimeUnixNano int64 `json:",string"`
		Attributes   attributes
	}
	Links  []struct{ TraceID, SpanID string }
	Status struct {
		Code    int
		Message string
	}
}

type attributes []struct {
	Key   string
	Value struct{ StringValue string }
}

// get returns the value of a string attribute, empty if there is none.
func (list attributes) get(key string) string {
	for _, a := range list {
		if a.Key == key {
			return a.Value.StringValue
		}
	}
	return ""
}

type trace struct {
	spans map[string]*span // by id
	root  *span
	runs  map[string]*span // of releases and Kustomizations, by the ids of their nodes
	waits map[string]*span // by the span id of the run that waits
}

// trace returns the trace of a rollout once a Jaeger has at least the expected number of its spans.
func (s *stage) trace(j jaeger, flow, rollout string, expected int) *trace {
	s.Helper()
	var spans []*span // of the rollout
	query := url.Values{"query.service_name": {"openova-flow"}, "query.operation_name": {"rollout " + flow}, "query.num_traces": {"10"}, "query.raw_traces": {"true"},
		"query.start_time_min": {time.Now().Add(-time.Hour).Format(time.RFC3339)}, "query.start_time_max": {time.Now().Add(time.Hour).Format(time.RFC3339)}}
	s.until("Jaeger has the trace of "+flow, 30*time.Second, func() bool {
		response, err := http.Get("http://" + j.query + "/api/v3/traces?" + query.Encode())
		if err != nil {
			s.Fatal(err)
		}
		defer response.Body.Close()
		var answer struct {
			Result struct {
				ResourceSpans []struct {
					Resource   struct{ Attributes attributes }
					ScopeSpans []struct{ Spans []*span }
				}
			}
		}
		if response.StatusCode == http.StatusNotFound {
			return false
		}
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
			s.Fatal(response.Status, err)
		}
		traces, id := make(map[string][]*span), ""
		for _, r := range answer.Result.ResourceSpans {
			if got := r.Resource.Attributes.get("service.name"); got != "openova-flow" {
				s.Errorf("a span is of service %q", got)
			}
			for _, scope := range r.ScopeSpans {
				for _, one := range scope.Spans {
					traces[one.TraceID] = append(traces[one.TraceID], one)
					if one.ParentSpanID == "" && one.Attributes.get("deployment.id") == rollout {
						id = one.TraceID
					}
				}
			}
		}
		spans = traces[id]
		return len(spans) >= expected
	})
	return s.arrange(spans)
}

// arrange checks the spans of one trace and groups them by what they are: the root, a run, or the waiting of a run.
func (s *stage) arrange(spans []*span) *trace {
	s.Helper()
	t := &trace{spans: make(map[string]*span), runs: make(map[string]*span), waits: make(map[string]*span)}
	for _, one := range spans {
		if one.EndTimeUnixNano == one.StartTimeUnixNano+1 { // Jaeger shows a duration of 0 as one of a nanosecond
			one.EndTimeUnixNano = one.StartTimeUnixNano
		}
		if one.TraceID != spans[0].TraceID || t.spans[one.SpanID] != nil {
			s.Errorf("span %s of trace %s: want each span once, all in trace %s", one.SpanID, one.TraceID, spans[0].TraceID)
		}
		t.spans[one.SpanID] = one
		if one.ParentSpanID == "" {
			if t.root != nil {
				s.Errorf("%s and %s are both roots", one.Name, t.root.Name)
			}
			t.root = one
		}
	}
	if t.root == nil {
		s.Fatalf("none of %d spans is a root", len(spans))
	}
	for _, one := range spans {
		switch {
		case one == t.root:
		case one.ParentSpanID == t.root.SpanID:
			t.runs[one.Attributes.get("openova.flow.node")] = one
		case one.Name == "waiting":
			t.waits[one.ParentSpanID] = one
		default:
			s.Errorf("%s has the parent %s", one.Name, one.ParentSpanID)
		}
	}
	if want := 1 + len(t.runs) + len(t.waits); len(spans) != want {
		s.Errorf("%d spans, want %d: a root, %d runs and %d that wait", len(spans), want, len(t.runs), len(t.waits))
	}
	return t
}

// began returns when a run began to work: when it no longer waits.
func (t *trace) began(run *span) int64 {
	if w := t.waits[run.SpanID]; w != nil {
		return w.EndTimeUnixNano
	}
	return run.StartTimeUnixNano
}

// maxGap is the maximum time from the end of a dependency to the start of a run that waited for it, as in the page.
const maxGap = 2 * time.Minute

// critical returns the critical path and its duration, computed only from spans and links: the chain of dependencies that took longest.
func (t *trace) critical() (nodes []string, took time.Duration) {
	type chain struct {
		before *span
		took   int64
	}
	chains := make(map[*span]chain)
	var follow func(*span) chain
	follow = func(run *span) chain {
		if c, ok := chains[run]; ok {
			return c
		}
		var c chain
		free, began := int64(0), t.began(run)
		for _, link := range run.Links {
			need := t.spans[link.SpanID]
			if t.began(need) > began || began-need.EndTimeUnixNano > maxGap.Nanoseconds() {
				continue
			}
			free = max(free, need.EndTimeUnixNano)
			if before := follow(need); c.before == nil || before.took > c.took {
				c = chain{need, before.took}
			}
		}
		if c.before != nil {
			c.took += max(0, began-free)
		}
		c.took += run.EndTimeUnixNano - began
		chains[run] = c
		return c
	}
	var end *span
	for _, id := range slices.Sorted(maps.Keys(t.runs)) {
		if run := t.runs[id]; end == nil || follow(run).took > follow(end).took {
			end = run
		}
	}
	for run := end; run != nil; run = follow(run).before {
		nodes = append(nodes, run.Attributes.get("openova.flow.node"))
	}
	slices.Reverse(nodes)
	return nodes, time.Duration(follow(end).took)
}

type criticalPath struct {
	IDs        []string
	DurationMS int64
}

// page returns what the page shows as the critical path of a flow's newest rollout.
func (s *stage) page(flow string) (path criticalPath) {
	s.Helper()
	script, err := os.Open("critical.mjs")
	if err != nil {
		s.Fatal(err)
	}
	defer script.Close()
	cmd := exec.Command("node", "--input-type=module", "-", "http://"+s.server, flow)
	cmd.Dir, cmd.Stdin, cmd.Stderr = products+"console", script, os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &path)
	}
	if err != nil {
		s.Fatal(err, string(out))
	}
	return path
}

// rollout is a rollout as the server lists it. Times are Unix milliseconds, 0 if there is none.
type rollout struct {
	ID, Outcome string
	EndedAt     int64
	Members     []struct {
		ID, Label, Region, Status        string
		WaitingSince, StartedAt, EndedAt int64
	}
}

func (s *stage) read(path string, into any) {
	s.Helper()
	response, err := http.Get("http://" + s.server + path)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		s.Fatal(path, response.Status, err)
	}
}

// checkTraces checks the trace of a flow's newest rollout, which has ended, in both Jaegers.
func (s *stage) checkTraces(flow string) {
	s.Run("Trace/"+flow, func(t *testing.T) {
		s := *s
		s.T = t
		var list struct{ Rollouts []rollout }
		s.read("/v1/flows/"+flow+"/rollouts", &list)
		if len(list.Rollouts) == 0 || list.Rollouts[0].EndedAt == 0 {
			t.Fatalf("want a rollout that has ended: %+v", list)
		}
		r := list.Rollouts[0]
		spans := 1
		for _, m := range r.Members {
			if m.StartedAt != 0 || m.WaitingSince != 0 {
				spans++
			}
			if m.WaitingSince != 0 && (m.StartedAt == 0 || m.WaitingSince < m.StartedAt) {
				spans++
			}
		}
		trace, again := s.trace(s.overGRPC, flow, r.ID, spans), s.trace(s.overHTTP, flow, r.ID, spans)
		if !reflect.DeepEqual(trace, again) {
			t.Errorf("the traces over gRPC and over HTTP differ: %d and %d spans", len(trace.spans), len(again.spans))
		}
		s.checkSpans(trace, flow, &r)
		s.checkLinks(trace, flow)
		nodes, took := trace.critical()
		want := s.page(flow)
		t.Logf("the critical path takes %v: %v", took, nodes)
		if !slices.Equal(nodes, want.IDs) || took.Milliseconds() != want.DurationMS || len(nodes) < 3 {
			t.Errorf("the critical path of the trace takes %v: %v\nthat of the page %d ms: %v", took, nodes, want.DurationMS, want.IDs)
		}
	})
}

func (s *stage) checkSpans(t *trace, flow string, r *rollout) {
	s.Helper()
	root, status := t.root, r.Outcome
	if status == "incomplete" { // the attribute has no value for it
		status = ""
	}
	if a := root.Attributes; root.Name != "rollout "+flow || a.get("deployment.id") != r.ID || a.get("deployment.status") != status || root.EndTimeUnixNano != r.EndedAt*1e6 {
		s.Errorf("the root is %+v, the rollout %s %s", root, r.ID, r.Outcome)
	}
	failures := make(map[string]bool) // by node
	for _, one := range t.spans {
		for _, e := range one.Events {
			failures[e.Attributes.get("openova.flow.node")] = e.Name == "exception" && e.Attributes.get("exception.message") != ""
		}
	}
	commits := 0
	for _, m := range r.Members {
		run := t.runs[m.ID]
		if m.StartedAt == 0 && m.WaitingSince == 0 {
			continue
		}
		if run == nil || run.Name != m.Label || m.StartedAt != 0 && t.began(run) != m.StartedAt*1e6 || m.EndedAt != 0 && run.EndTimeUnixNano != m.EndedAt*1e6 {
			s.Errorf("%+v has the span %+v", m, run)
			continue
		}
		if a := run.Attributes; a.get("k8s.cluster.name") != m.Region || a.get("k8s.namespace.name") == "" || a.get("openova.flow.outcome") != m.Status {
			s.Errorf("%s has the attributes %v", m.ID, a)
		}
		if run.Attributes.get("vcs.ref.head.revision") != "" && run.Attributes.get("vcs.repository.url.full") != "" {
			commits++
		}
		if w := t.waits[run.SpanID]; m.WaitingSince != 0 && m.WaitingSince < m.StartedAt && (w == nil || w.StartTimeUnixNano != m.WaitingSince*1e6) {
			s.Errorf("%+v waits in the span %+v", m, w)
		}
	}
	// The Kustomizations of the fleet are from a Git repository. In the bootstrap three releases fail, and are repaired.
	switch flow {
	case "fleet":
		if commits < 3 {
			s.Errorf("%d runs have a commit", commits)
		}
	case "bootstrap":
		for _, id := range []string{"fsn1/bp-seaweedfs", "fsn1/bp-keycloak", "hel1/bp-powerdns"} {
			if !failures[id] {
				s.Errorf("no event has the failure of %s: %v", id, failures)
			}
		}
	}
}

// checkLinks compares the links with the dependencies between runs.
func (s *stage) checkLinks(t *trace, flow string) {
	s.Helper()
	var state struct {
		Relationships []struct{ FromID, ToID, Type string }
	}
	s.read("/v1/flows/"+flow+"/snapshot", &state)
	want, got := make(map[[2]string]bool), make(map[[2]string]bool)
	for _, rel := range state.Relationships {
		if rel.Type == "finish-to-start" && t.runs[rel.FromID] != nil && t.runs[rel.ToID] != nil {
			want[[2]string{rel.FromID, rel.ToID}] = true
		}
	}
	for id, run := range t.runs {
		for _, link := range run.Links {
			if t.spans[link.SpanID] == nil || link.TraceID != run.TraceID {
				s.Fatalf("%s has a link to %+v", id, link)
			}
			got[[2]string{t.spans[link.SpanID].Attributes.get("openova.flow.node"), id}] = true
		}
	}
	if !maps.Equal(got, want) || len(want) < 3 {
		s.Errorf("%d links, %d dependencies\n%v\n%v", len(got), len(want), got, want)
	}
}
