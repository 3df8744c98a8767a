package recording_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/recording"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func read(t testing.TB, in io.Reader) ([]mapping.Event, error) {
	t.Helper()
	r := recording.NewReader(in)
	var all []mapping.Event
	for {
		ev, err := r.Next()
		if err != nil {
			if _, again := r.Next(); again == nil || again.Error() != err.Error() {
				t.Errorf("after error %v: %v", err, again)
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return all, err
		}
		all = append(all, ev)
	}
}

func brief(all []mapping.Event) string {
	var b strings.Builder
	for _, ev := range all {
		at := "-"
		if ms, ok := ev.At.Get(); ok {
			at = fmt.Sprint(ms)
		}
		fmt.Fprintf(&b, "%s %s %s/%s\n", at, ev.Type, ev.Object.GetKind(), ev.Object.GetName())
	}
	return b.String()
}

func hr(name string) string {
	return `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"` + name + `"},"spec":{}}`
}

func TestReader_AcceptsEveryLayout(t *testing.T) {
	pretty := func(s string) string {
		var b bytes.Buffer
		if err := json.Indent(&b, []byte(s), "", "    "); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"white space", " \n\t\r\n", ""},
		{"lines", `{"at":5,"type":"ADDED","object":` + hr("a") + "}\n" + `{"at":6,"type":"DELETED","object":` + hr("a") + "}\n",
			"5 ADDED HelmRelease/a\n6 DELETED HelmRelease/a\n"},
		{"no newline at the end, blank lines between", `{"type":"ADDED","object":` + hr("a") + "}\n\n\n" + `{"type":"MODIFIED","object":` + hr("b") + "}",
			"- ADDED HelmRelease/a\n- MODIFIED HelmRelease/b\n"},
		{"as kubectl prints", pretty(`{"type":"ADDED","object":`+hr("a")+`}`) + "\n" + pretty(`{"type":"MODIFIED","object":`+hr("b")+`}`),
			"- ADDED HelmRelease/a\n- MODIFIED HelmRelease/b\n"},
		{"all on one line", `{"type":"ADDED","object":` + hr("a") + `}{"type":"ADDED","object":` + hr("b") + `} {"type":"ADDED","object":` + hr("c") + `}`,
			"- ADDED HelmRelease/a\n- ADDED HelmRelease/b\n- ADDED HelmRelease/c\n"},
		{"a byte order mark", "\ufeff" + `{"type":"ADDED","object":` + hr("a") + `}`, "- ADDED HelmRelease/a\n"},
		{"braces and quotes in strings", `{"type":"ADDED","object":{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"a"},"x":"}{\"\\","y":"{"}}`,
			"- ADDED HelmRelease/a\n"},
		{"bookmarks and other kinds", `{"type":"BOOKMARK","object":{"kind":"HelmRelease","metadata":{}}}
{"type":"ADDED","object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}}
{"type":"ADDED","object":` + hr("a") + `}`, "- ADDED HelmRelease/a\n"},
		{"a list first", pretty(`{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":""},"items":[`+hr("a")+","+hr("b")+`,{"kind":"Pod"}]}`) +
			`{"type":"MODIFIED","object":` + hr("a") + `}`, "- ADDED HelmRelease/a\n- ADDED HelmRelease/b\n- MODIFIED HelmRelease/a\n"},
		{"a list in an event", `{"at":7,"type":"ADDED","object":{"kind":"HelmReleaseList","metadata":{},"items":[` + hr("a") + `]}}`, "7 ADDED HelmRelease/a\n"},
		{"an empty list", `{"kind":"List","items":[]}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, in := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
				all, err := read(t, in)
				if err != nil {
					t.Fatal(err)
				}
				if got := brief(all); got != c.want {
					t.Errorf("got\n%s\nwant\n%s", got, c.want)
				}
			}
		})
	}
}

func TestReader_ErrorNamesTheLine(t *testing.T) {
	good := `{"type":"ADDED","object":` + hr("a") + "}\n"
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"not JSON at all", "hello", []string{"line 1", "'h'", "JSON objects"}},
		{"YAML after an event", good + "\nkind: List\n", []string{"line 3", "'k'"}},
		{"an array", good + "[]", []string{"line 2", "'['"}},
		{"cut off", good + `{"type":"ADDED","obj`, []string{"line 2", "cut off"}},
		{"a line cut off", good + `{"type":"AD` + "\n" + good, []string{"line 2", "string"}},
		{"a comma too many", good + "{\n \"type\":\"ADDED\",\n ,}", []string{"line 4", "not JSON"}},
		{"no type", good + good + `{"object":` + hr("a") + `}`, []string{"line 3", `"type"`}},
		{"another type", `{"type":"CHANGED","object":` + hr("a") + `}`, []string{"line 1", "CHANGED", "MODIFIED"}},
		{"no object", `{"type":"ADDED"}`, []string{"line 1", `"object"`}},
		{"an object of a wrong type", `{"type":"ADDED","object":"x"}`, []string{"line 1", `"object"`}},
		{"a time of a wrong type", `{"at":"noon","type":"ADDED","object":` + hr("a") + `}`, []string{"line 1", `"at"`, "Unix milliseconds"}},
		{"a fraction of a time", `{"at":1.5,"type":"ADDED","object":` + hr("a") + `}`, []string{"line 1", `"at"`}},
		{"kubectl without --output-watch-events", good + hr("a"), []string{"line 2", "--output-watch-events"}},
		{"an expired watch", `{"type":"ERROR","object":{"kind":"Status","message":"too old resource version"}}`, []string{"line 1", "too old resource version", "remove"}},
		{"a list of strings", `{"kind":"List","items":["x"]}`, []string{"line 1", "items[0]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(t, strings.NewReader(c.in))
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error %q lacks %q", err, w)
				}
			}
		})
	}
}

func TestReader_ReturnsTheErrorOfTheInput(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, before := range []string{"\n{\"type\":", "\n"} {
		_, err := read(t, io.MultiReader(strings.NewReader(before), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("after %q: %v", before, err)
		}
	}
}

func TestWriter_WrittenRecordingReadsTheSame(t *testing.T) {
	for _, file := range []string{"kit-fsn1", "kit-hel1", "scenarios"} {
		raw, err := os.ReadFile("../testdata/recordings/" + file + ".jsonl")
		if err != nil {
			t.Fatal(err)
		}
		all, err := read(t, bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(raw, []byte("\n")); len(all) != lines {
			t.Errorf("%s: %d events of %d lines", file, len(all), lines)
		}
		var b bytes.Buffer
		w := recording.NewWriter(&b)
		for _, ev := range all {
			if err := w.Write(ev); err != nil {
				t.Fatal(err)
			}
		}
		again, err := read(t, &b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			if x, y := text(t, all[i].Object), text(t, again[i].Object); x != y || all[i].At != again[i].At || all[i].Type != again[i].Type {
				t.Fatalf("%s, event %d: before\n%s\nafter\n%s", file, i, x, y)
			}
		}
	}
}

func text(t *testing.T, u *unstructured.Unstructured) string {
	t.Helper()
	raw, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestWriter_DropsManagedFields(t *testing.T) {
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(`{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"a","managedFields":[{"manager":"m"}],
		"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","keep":"<this>"}},"spec":{}}`), &u.Object); err != nil {
		t.Fatal(err)
	}
	before := text(t, u)
	var b bytes.Buffer
	if err := recording.NewWriter(&b).Write(mapping.Event{At: flow.At(7), Type: mapping.Added, Object: u}); err != nil {
		t.Fatal(err)
	}
	want := `{"at":7,"type":"ADDED","object":{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"annotations":{"keep":"<this>"},"name":"a"},"spec":{}}}` + "\n"
	if b.String() != want {
		t.Errorf("written:\n%s\nwant\n%s", b.String(), want)
	}
	if text(t, u) != before {
		t.Error("Write has modified the object")
	}
	b.Reset()
	unstructured.RemoveNestedField(u.Object, "metadata", "annotations", "keep")
	if err := recording.NewWriter(&b).Write(mapping.Event{Type: mapping.Deleted, Object: u}); err != nil {
		t.Fatal(err)
	}
	if want := `{"type":"DELETED","object":{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"a"},"spec":{}}}` + "\n"; b.String() != want {
		t.Errorf("written:\n%s\nwant\n%s", b.String(), want)
	}
	if err := recording.NewWriter(&b).Write(mapping.Event{}); err == nil {
		t.Error("no error for an event without an object")
	}
}

func TestRebase_MovesTimesInACopy(t *testing.T) {
	u := &unstructured.Unstructured{Object: map[string]any{
		"a":    "2026-03-01T12:00:10Z",
		"list": []any{"2026-03-01T12:00:00Z", map[string]any{"deep": "2026-03-01T13:00:05+01:00"}},
		"text": "since 2026-03-01T12:00:10Z", "date": "2026-03-01", "odd": "2026-99-01T12:00:10Z", "n": int64(5), "none": nil,
	}}
	before := text(t, u)
	r := recording.Rebase{Recorded: 1772366400000, Start: 1800000000000, Speed: 8} // 2026-03-01T12:00:00Z to 2027-01-15T08:00:00Z
	got := text(t, r.Object(u))
	want := `{"a":"2027-01-15T08:00:01.25Z","date":"2026-03-01","list":["2027-01-15T08:00:00Z",{"deep":"2027-01-15T08:00:00.625Z"}],"n":5,"none":null,` +
		`"odd":"2026-99-01T12:00:10Z","text":"since 2026-03-01T12:00:10Z"}` + "\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if text(t, u) != before {
		t.Error("Object has modified its argument")
	}
	r.Speed = 0
	if got := r.Time(1772366410000); got != 1800000010000 {
		t.Errorf("without a speed ten seconds are %d ms", got-1800000000000)
	}
}

func TestRebase_KeepsStatusesAndMovesTimes(t *testing.T) {
	raw, err := os.ReadFile("../testdata/recordings/kit-hel1.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	all, err := read(t, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	r := recording.Rebase{Recorded: all[0].At.Ms(), Start: 1900000000000, Speed: 5}
	plain := mapping.NewCluster(mapping.Config{FlowID: "f", Region: "r"})
	moved := mapping.NewCluster(mapping.Config{FlowID: "f", Region: "r"})
	for i, ev := range all {
		a, err := plain.Apply(ev)
		if err != nil {
			t.Fatal(err)
		}
		b, err := moved.Apply(mapping.Event{Type: ev.Type, Object: r.Object(ev.Object)})
		if err != nil {
			t.Fatal(err)
		}
		if len(a) != len(b) {
			t.Fatalf("event %d makes %d changes, and %d after Rebase", i, len(a), len(b))
		}
		for j := range a {
			if a[j].Node == nil {
				continue
			}
			x, y := *a[j].Node, *b[j].Node
			if x.Status != y.Status || moveTo(r, x.StartedAt) != y.StartedAt || moveTo(r, x.EndedAt) != y.EndedAt {
				t.Fatalf("event %d: %s is %s from %d to %d, and rebased %s from %d to %d", i, x.ID, x.Status, x.StartedAt.Ms(), x.EndedAt.Ms(),
					y.Status, y.StartedAt.Ms(), y.EndedAt.Ms())
			}
		}
	}
}

func moveTo(r recording.Rebase, at flow.Time) flow.Time {
	if at.IsZero() {
		return at
	}
	return flow.At(r.Time(at.Ms()))
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"at":5,"type":"ADDED","object":` + hr("a") + "}\n{}"))
	f.Add([]byte(`{"kind":"List","items":[` + hr("a") + `]}`))
	f.Add([]byte("{\"type\":\"x\\\"}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		all, err := read(t, bytes.NewReader(in))
		if err != nil && !strings.HasPrefix(err.Error(), "line ") {
			t.Fatalf("the error %q has no line", err)
		}
		var b bytes.Buffer
		w := recording.NewWriter(&b)
		for _, ev := range all {
			if err := w.Write(ev); err != nil {
				t.Fatal(err)
			}
		}
		again, err := read(t, &b)
		if err != nil || brief(again) != brief(all) {
			t.Fatalf("written and read again: %q (%v), want %q", brief(again), err, brief(all))
		}
	})
}
