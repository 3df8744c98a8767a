package flowmetrics_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/flowmetrics"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/internal/prom"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// epoch is the initial time of a synctest bubble, in Unix seconds.
const epoch = 946684800

// node returns a node of flow F; its region is the first part of its id. began is in Unix seconds, 0 if it has not started.
func node(id, status string, began int64, meta string) flow.Node {
	region, _, _ := strings.Cut(id, "/")
	n := flow.Node{ID: id, FlowID: "F", Label: id, Status: status, Region: region, Meta: flow.Object(meta)}
	if began != 0 {
		n.StartedAt = flow.At(began * 1000)
	}
	return n
}

func put(t testing.TB, h *hub.Hub, nodes ...flow.Node) {
	t.Helper()
	if _, err := h.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(nodes...)}}); err != nil {
		t.Fatal(err)
	}
}

// scrape returns the samples as text, without the prefix openova_flow_ and the label flow="F".
func scrape(t testing.TB, c *flowmetrics.Collector) (samples []string) {
	t.Helper()
	var b strings.Builder
	if err := prom.Write(&b, c.Families()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "#") {
			line = strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(line), "openova_flow_"), `flow="F",`, "")
			samples = append(samples, strings.ReplaceAll(line, `{flow="F"}`, ""))
		}
	}
	return samples
}

// expect compares the samples other than 0 with want, in any order, and removes the names of their metrics from unseen.
func expect(t *testing.T, when string, c *flowmetrics.Collector, unseen map[string]bool, want ...string) {
	t.Helper()
	got := slices.DeleteFunc(scrape(t, c), func(s string) bool { return strings.HasSuffix(s, " 0") })
	for _, s := range got {
		delete(unseen, "openova_flow_"+s[:strings.IndexAny(s, "{ ")])
		if !slices.Contains(want, s) {
			t.Errorf("%s: unexpected %s", when, s)
		}
	}
	for _, s := range want {
		if !slices.Contains(got, s) {
			t.Errorf("%s: missing %s", when, s)
		}
	}
}

func source(commit string, at int64) flow.Node {
	return node("r1/GitRepository/flux-system/repo", "succeeded", epoch, fmt.Sprintf(`{"kind":"GitRepository","namespace":"flux-system","auxiliary":true,"ready":"True",
		"url":"ssh://git@git.example.com/o/r.git","ref":"branch main","revision":"main@sha1:%s","updatedAt":%d}`, commit, at*1000))
}

func kustomization(commit string) flow.Node {
	return node("r1/Kustomization/flux-system/apps", "succeeded", 0, fmt.Sprintf(`{"kind":"Kustomization","namespace":"flux-system",
		"revision":"main@sha1:%[1]s","attemptedRevision":"main@sha1:%[1]s","source":{"kind":"GitRepository","namespace":"flux-system","name":"repo"}}`, commit))
}

// TestCollector_ValuesDuringRollouts checks the samples of a flow with two regions before, during and after a rollout that fails, and after its repair.
func TestCollector_ValuesDuringRollouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Config{})
		c := flowmetrics.New(h)
		unseen := make(map[string]bool)
		for _, f := range c.Families() {
			unseen[f.Name] = true
		}
		expect(t, "without flows", c, unseen)
		one, other := strings.Repeat("a", 40), strings.Repeat("b", 40)
		if _, err := h.Claim(record.Claim{FlowID: "F", Region: "r2", Cluster: "two", TTL: 15 * time.Second}); err != nil {
			t.Fatal(err)
		}
		healthy := []flow.Node{source(one, epoch), kustomization(one), node("r1/web", "succeeded", 0, `{"kind":"HelmRelease"}`), node("r2/api", "succeeded", 0, `{"kind":"HelmRelease"}`)}
		put(t, h, append(healthy, node("r1", "succeeded", 0, `{"kind":"Region"}`))...)
		ready := []string{`flow_nodes{region="r1",state="ready"} 3`, `flow_nodes{region="r2",state="ready"} 1`}
		expect(t, "healthy", c, unseen, ready...)

		time.Sleep(10 * time.Second)
		put(t, h, source(other, epoch+10),
			node("r1/web", "running", epoch+10, `{"kind":"HelmRelease","judgement":{"state":"working","gate":"wait","since":`+ms(epoch+10)+`,"marks":["overdue"]}}`))
		expect(t, "in progress", c, unseen, `flow_nodes{region="r1",state="ready"} 2`, `flow_nodes{region="r1",state="working"} 1`, ready[1],
			`flow_marked_nodes{region="r1",mark="overdue"} 1`, `unapplied_revision_timestamp_seconds{region="r1"} 946684810`,
			`rollout_in_progress 1`, `rollout_start_timestamp_seconds 946684810`)

		time.Sleep(10 * time.Second) // longer than the rest of r2's claim
		put(t, h,
			node("r1/web", "failed", epoch+10, `{"kind":"HelmRelease","judgement":{"state":"broken","problem":true,"final":true,"since":`+ms(epoch+15)+`,"cause":{"class":"install-failed"}}}`),
			node("r1/db", "failed", 0, `{"kind":"HelmRelease","judgement":{"state":"broken","problem":true,"since":`+ms(epoch+12)+`,"marks":["drift","remote:x"],"cause":{"class":"upgrade-failed"}}}`),
			node("r1/cache", "failed", 0, `{"kind":"HelmRelease","judgement":{"state":"broken","problem":true,"since":`+ms(epoch+14)+`,"cause":{"class":"upgrade-failed"}}}`),
			node("r1/old", "pending", 0, `{"kind":"HelmRelease","judgement":{"state":"suspended","gate":"pass","marks":["suspended"],"since":`+ms(epoch-86400)+`}}`),
			node("r2/api", "running", 0, `{"kind":"HelmRelease","judgement":{"state":"waiting","gate":"wait","needs":["r1/web"],"since":`+ms(epoch+16)+`}}`))
		time.Sleep(2 * time.Minute)
		expect(t, "failed", c, unseen, `flow_nodes{region="r1",state="ready"} 2`, `flow_nodes{region="r1",state="broken"} 3`, `flow_nodes{region="r1",state="suspended"} 1`,
			`flow_nodes{region="r2",state="waiting"} 1`, `flow_blocked_nodes{region="r2"} 1`,
			`flow_marked_nodes{region="r1",mark="drift"} 1`, `flow_marked_nodes{region="r1",mark="suspended"} 1`,
			`flow_problems{region="r1",class="install-failed",severity="critical"} 1`, `flow_problems{region="r1",class="upgrade-failed",severity="warning"} 2`,
			`flow_oldest_problem_timestamp_seconds{region="r1",severity="critical"} 946684815`, `flow_oldest_problem_timestamp_seconds{region="r1",severity="warning"} 946684812`,
			`problem_timestamp_seconds{region="r1",node="r1/web",class="install-failed",severity="critical"} 946684815`,
			`problem_timestamp_seconds{region="r1",node="r1/db",class="upgrade-failed",severity="warning"} 946684812`,
			`problem_timestamp_seconds{region="r1",node="r1/cache",class="upgrade-failed",severity="warning"} 946684814`,
			`problem_blocked_nodes{region="r1",node="r1/web",class="install-failed",severity="critical"} 1`,
			`suspended_node_timestamp_seconds{region="r1",node="r1/old"} 946598400`,
			`stale_region_last_seen_timestamp_seconds{region="r2"} 946684800`, `unapplied_revision_timestamp_seconds{region="r1"} 946684810`,
			`rollout_last_outcome{outcome="failed"} 1`, `rollout_last_end_timestamp_seconds 946684820`, `rollout_last_duration_seconds 10`)

		put(t, h, append(healthy, source(other, epoch+10), kustomization(other), node("r1/db", "succeeded", 0, `{"kind":"HelmRelease"}`), node("r1/cache", "succeeded", 0, `{"kind":"HelmRelease"}`), node("r1/old", "succeeded", 0, `{"kind":"HelmRelease"}`))...)
		if _, err := h.Claim(record.Claim{FlowID: "F", Region: "r2", Cluster: "two", TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		expect(t, "repaired", c, unseen, `flow_nodes{region="r1",state="ready"} 6`, ready[1],
			`rollout_last_outcome{outcome="failed"} 1`, `rollout_last_end_timestamp_seconds 946684820`, `rollout_last_duration_seconds 10`)

		web := node("r1/web", "succeeded", epoch+145, `{"kind":"HelmRelease"}`)
		web.EndedAt = flow.At((epoch + 150) * 1000)
		put(t, h, web)
		time.Sleep(2 * time.Minute)
		expect(t, "again", c, unseen, `flow_nodes{region="r1",state="ready"} 6`, ready[1],
			`rollout_last_outcome{outcome="succeeded"} 1`, `rollout_last_end_timestamp_seconds 946684950`, `rollout_last_duration_seconds 5`)

		if _, err := h.Delete("F"); err != nil {
			t.Fatal(err)
		}
		expect(t, "deleted", c, unseen)
		if delete(unseen, "openova_flow_flow_metrics_left_out"); len(unseen) > 0 { // covered by TestCollector_Limits
			t.Errorf("without a sample: %v", unseen)
		}
	})
}

func ms(seconds int64) string { return fmt.Sprint(seconds * 1000) }

// many is a source of flows that all have the same overview.
type many struct {
	flows   []string
	view    *insight.View
	version hub.Version
	calls   int
}

func (m *many) FlowIDs() []string          { return m.flows }
func (m *many) Version(string) hub.Version { return m.version }
func (m *many) Overview(string) (hub.Overview, error) {
	m.calls++
	return hub.Overview{View: m.view}, nil
}

// crowd returns a source of equal flows. Each region has one broken node with a cause of its own class.
func crowd(flows, regions, suspended int) *many {
	m := &many{version: hub.Version{Seq: 1, Incarnation: "i"}}
	for i := range flows {
		m.flows = append(m.flows, fmt.Sprintf("f%04d", i))
	}
	message := &flow.Message{}
	for i := range regions {
		message.Nodes = append(message.Nodes, node(fmt.Sprintf("r%04d/a", i), "failed", 0, fmt.Sprintf(`{"judgement":{"state":"broken","problem":true,"cause":{"class":"c%d"}}}`, i)))
	}
	for i := range suspended {
		message.Nodes = append(message.Nodes, node(fmt.Sprintf("r0000/s%d", i), "pending", 0, `{"judgement":{"state":"suspended","gate":"pass"}}`))
	}
	m.view = insight.Read(message).At(epoch*1000, nil)
	return m
}

func TestCollector_Limits(t *testing.T) {
	for _, tt := range []struct {
		name                      string
		flows, regions, suspended int
		want                      map[string]int // samples by name
		leftOut                   [4]int         // flows, regions, problems, suspended nodes
	}{
		{"within", 2, 3, 4, map[string]int{"flow_nodes": 2 * 3 * 7, "flow_problems": 2 * 3, "problem_timestamp_seconds": 2 * 3, "problem_blocked_nodes": 2 * 3, "suspended_node_timestamp_seconds": 2 * 4}, [4]int{}},
		{"one flow", 1, 300, 150, map[string]int{"flow_nodes": 256 * 7, "flow_problems": 256, "problem_timestamp_seconds": 100, "suspended_node_timestamp_seconds": 100}, [4]int{0, 44, 200, 50}},
		{"many flows", 150, 30, 15, map[string]int{"flow_nodes": 2000 * 7, "flow_problems": 2000, "problem_timestamp_seconds": 1000, "problem_blocked_nodes": 1000, "suspended_node_timestamp_seconds": 1000, "rollout_in_progress": 100},
			[4]int{50, 1000, 2000, 500}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			samples := scrape(t, flowmetrics.New(crowd(tt.flows, tt.regions, tt.suspended)))
			for name, want := range tt.want {
				n := 0
				for _, s := range samples {
					if strings.HasPrefix(s, name+"{") {
						n++
					}
				}
				if n != want {
					t.Errorf("%d of %s, want %d", n, name, want)
				}
			}
			for i, kind := range []string{"flow", "region", "problem", "suspended_node"} {
				if want := fmt.Sprintf(`flow_metrics_left_out{kind="%s"} %d`, kind, tt.leftOut[i]); !slices.Contains(samples, want) {
					t.Errorf("no %s in %q", want, samples[len(samples)-4:])
				}
			}
		})
	}
}

func TestCollector_ClassesBeyondTheLimitAreOther(t *testing.T) {
	m := crowd(1, 101, 0)
	others := slices.DeleteFunc(scrape(t, flowmetrics.New(m)), func(s string) bool {
		return !strings.HasPrefix(s, "flow_problems{") || !strings.Contains(s, `class="other"`)
	})
	if len(others) != 1 || !strings.HasSuffix(others[0], " 1") {
		t.Errorf("%q", others)
	}
}

// TestCollector_LongNamesAreLeftOut has names of flows, regions, nodes and classes that are longer than the limit of labels.
func TestCollector_LongNamesAreLeftOut(t *testing.T) {
	long := strings.Repeat("x", 257)
	m := crowd(1, 1, 0)
	m.flows = append(m.flows, long)
	broken, suspended := node("a", "failed", 0, `{"judgement":{"state":"broken","problem":true}}`), node("s", "pending", 0, `{"judgement":{"state":"suspended"}}`)
	broken.Region, suspended.Region = long, long
	m.view = insight.Read(&flow.Message{Nodes: []flow.Node{
		broken, node("r1/"+long, "failed", 0, `{"judgement":{"state":"broken","problem":true,"cause":{"class":"`+long+`"}}}`),
		suspended, node("r1/s"+long, "pending", 0, `{"judgement":{"state":"suspended"}}`),
	}}).At(epoch*1000, nil)
	samples := scrape(t, flowmetrics.New(m))
	for _, want := range []string{`flow_metrics_left_out{kind="flow"} 1`, `flow_metrics_left_out{kind="region"} 1`, `flow_metrics_left_out{kind="problem"} 2`, `flow_metrics_left_out{kind="suspended_node"} 2`} {
		if !slices.Contains(samples, want) {
			t.Errorf("no %s", want)
		}
	}
	if text := strings.Join(samples, "\n"); strings.Contains(text, long) || strings.Contains(text, "flow_oldest_problem") /* as none is known */ || !strings.Contains(text, `flow_problems{flow="f0000",region="r1",class="other",severity="warning"} 1`) {
		t.Error(text)
	}
}

// TestCollector_JudgesAtMostOnceASecond checks how often the collector reads the overview of a flow: at most once a second after a change, else every
// 10 s; at once in a new incarnation.
func TestCollector_JudgesAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := crowd(2, 1, 0)
		c := flowmetrics.New(m)
		for i, step := range []struct {
			after   time.Duration
			version hub.Version
			calls   int // calls so far, of both flows together
		}{
			{0, hub.Version{Seq: 1, Incarnation: "i"}, 2},
			{time.Second - 1, hub.Version{Seq: 2, Incarnation: "i"}, 2},
			{1, hub.Version{Seq: 2, Incarnation: "i"}, 4},
			{10*time.Second - 1, hub.Version{Seq: 2, Incarnation: "i"}, 4},
			{1, hub.Version{Seq: 2, Incarnation: "i"}, 6},
			{0, hub.Version{Seq: 2, Incarnation: "j"}, 8},
		} {
			time.Sleep(step.after)
			m.version = step.version
			scrape(t, c)
			if m.calls != step.calls {
				t.Errorf("step %d: %d, want %d", i, m.calls, step.calls)
			}
		}
	})
}

// TestCollector_SeverityOfCycles checks a cycle through two regions, and a node that needs itself.
func TestCollector_SeverityOfCycles(t *testing.T) {
	waits := func(id, needs string) flow.Node {
		return node(id, "running", 0, `{"judgement":{"state":"waiting","gate":"wait","needs":["`+needs+`"]}}`)
	}
	m := crowd(1, 0, 0)
	m.view = insight.Read(&flow.Message{Nodes: []flow.Node{waits("r1/a", "r2/b"), waits("r2/b", "r1/a"), waits("r1/c", "r1/c")}}).At(epoch*1000, nil)
	samples := scrape(t, flowmetrics.New(m))
	for _, want := range []string{`flow_problems{flow="f0000",region="",class="dependency-cycle",severity="critical"} 1`, `flow_problems{flow="f0000",region="r1",class="dependency-on-itself",severity="critical"} 1`} {
		if !slices.Contains(samples, want) {
			t.Errorf("no %s in %q", want, samples)
		}
	}
}
