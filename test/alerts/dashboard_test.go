package alerts

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

const dashboardFile = "../../platform/openova-flow-server/chart/dashboard.json"

// load decodes the dashboard with the types that Grafana publishes. The types of panels reject missing and unknown fields, also in queries and in the options of each kind of panel.
//
//lint:ignore SA1019 The file has the classic schema, which Grafana's sidecar loads. The SDK prefers another schema.
func load(t *testing.T) (d dashboard.Dashboard, text []byte) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	plugins.RegisterDefaultPlugins()
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	var raw struct{ Panels []json.RawMessage }
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	for i, panel := range raw.Panels {
		var strict interface{ UnmarshalJSONStrict([]byte) error } = new(dashboard.Panel)
		if d.Panels[i].RowPanel != nil {
			strict = new(dashboard.RowPanel)
		}
		if err := strict.UnmarshalJSONStrict(panel); err != nil && err.Error() != "" { // without errors this is an empty list, not nil
			t.Errorf("panel %d: %v", i, err)
		}
	}
	return d, text
}

// TestDashboard_MatchesGrafanasSchema decodes the dashboard, encodes it again, and compares both: a field that the types do not know would be lost.
func TestDashboard_MatchesGrafanasSchema(t *testing.T) {
	d, text := load(t)
	again, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	for text, into := range map[*[]byte]*any{&text: &want, &again: &got} {
		if err := json.Unmarshal(*text, into); err != nil {
			t.Fatal(err)
		}
	}
	missing(t, "", want, got)
	ids := make(map[uint32]bool)
	for _, p := range d.Panels {
		if p.RowPanel != nil {
			ids[p.RowPanel.Id] = true
			continue
		}
		ids[*p.Panel.Id] = true
		refs := make(map[string]bool)
		for _, q := range p.Panel.Targets {
			refs[*q.(*prometheus.Dataquery).RefId] = true
		}
		if len(refs) == 0 || len(refs) != len(p.Panel.Targets) {
			t.Errorf("%s: %d targets have the ids %v", *p.Panel.Title, len(p.Panel.Targets), refs)
		}
	}
	if len(ids) != len(d.Panels) {
		t.Errorf("%d panels have %d ids", len(d.Panels), len(ids))
	}
}

// missing reports the fields and values of want that got lacks.
func missing(t *testing.T, path string, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		got, _ := got.(map[string]any)
		for key, value := range want {
			missing(t, path+"."+key, value, got[key])
		}
	case []any:
		got, _ := got.([]any)
		for i, value := range want {
			if i >= len(got) {
				t.Errorf("%s: %d elements instead of %d", path, len(got), len(want))
				return
			}
			missing(t, path+"[]", value, got[i])
		}
	default:
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s is %v after decoding, want %v", path, got, want)
		}
	}
}

var (
	variable    = regexp.MustCompile(`\$\{?(\w+)`)
	labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	legend      = regexp.MustCompile(`\{\{(\w+)\}\}`)
)

// TestDashboard_ShowsWhatTheServerServes evaluates every query on the metrics of a real server. Each has a result with the labels that the panel shows.
func TestDashboard_ShowsWhatTheServerServes(t *testing.T) {
	d, text := load(t)
	s := scraped(t)
	values := map[string]string{"flow": "prod", "region": "fsn1|hel1", "__rate_interval": "2m", "datasource": "", "__all": ""}
	fill := func(text string) string {
		for name, value := range values {
			text = strings.ReplaceAll(text, "$"+name, value)
		}
		return text
	}
	for _, m := range variable.FindAllStringSubmatch(string(text), -1) {
		if _, ok := values[m[1]]; !ok {
			t.Errorf("unknown variable %s", m[0])
		}
	}
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		if v.Type != dashboard.VariableTypeQuery {
			continue
		}
		m := labelValues.FindStringSubmatch(*v.Definition)
		if m == nil || v.Query.Map["query"] != *v.Definition || m[2] != v.Name {
			t.Errorf("%s: %s", v.Name, *v.Definition)
			continue
		}
		s.shows(t, v.Name, fill(m[1]), m[2])
	}
	if !slices.Equal(names, []string{"datasource", "flow", "region"}) {
		t.Errorf("%v", names)
	}
	queries := 0
	for _, p := range d.Panels {
		if p.Panel == nil {
			continue
		}
		var columns []string
		for _, tr := range p.Panel.Transformations {
			renamed, _ := tr.Options.(map[string]any)["renameByName"].(map[string]any)
			for name := range renamed {
				if !strings.HasPrefix(name, "Value #") {
					columns = append(columns, name)
				}
			}
		}
		shown := make(map[string]bool)
		for _, target := range p.Panel.Targets {
			q := target.(*prometheus.Dataquery)
			var named []string
			if q.LegendFormat != nil {
				for _, m := range legend.FindAllStringSubmatch(*q.LegendFormat, -1) {
					named = append(named, m[1])
				}
			}
			queries++
			for name := range s.shows(t, *p.Panel.Title, fill(q.Expr), named...) {
				shown[name] = true
			}
		}
		for _, name := range columns {
			if !shown[name] {
				t.Errorf("%s: no query has the column %s", *p.Panel.Title, name)
			}
		}
	}
	if queries < 30 {
		t.Errorf("only %d queries", queries)
	}
}

// shows checks that an expression has a result, and that each of its samples has the labels in names. It returns the labels of the first sample.
func (s *served) shows(t *testing.T, what, expr string, names ...string) map[string]string {
	t.Helper()
	got := s.check(t, what, expr)
	for _, sample := range got {
		for _, name := range names {
			if sample.Get(name) == "" {
				t.Errorf("%s: %s has no label %s", what, sample, name)
			}
		}
	}
	if len(got) == 0 {
		return nil
	}
	return got[0].Map()
}
