package reportpage

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/gate"
)

// written returns the page with its content, and the content as a browser would read it.
func written(t *testing.T, c Content) (page string, read Content) {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(b.String(), data)
	text, _, _ := strings.Cut(rest, "</script>")
	if err := json.Unmarshal([]byte(text), &read); err != nil || !ok {
		t.Fatalf("%v in %.200s", err, text)
	}
	return b.String(), read
}

func TestWrite_Escapes(t *testing.T) {
	const hostile = "</script><script>alert(1)</script><!--\u2028&"
	quoted, err := json.Marshal(map[string]string{"x": hostile})
	if err != nil {
		t.Fatal(err)
	}
	raw := json.RawMessage(`{"x":"</script><!--` + "\u2028" + `"}`)
	c := Content{Flow: "F", Answer: &gate.Answer{Problems: []gate.Problem{{ID: hostile, Sentence: hostile}}}, NoRecord: hostile,
		Recording: &gate.Recording{Regions: quoted, Rollouts: raw, Pages: []gate.Page{{Base: raw, Events: []json.RawMessage{raw}}}}}
	text, read := written(t, c)
	if len(text) < len(page) || strings.Count(text, "<") != strings.Count(string(page), "<") || strings.Count(text, "\u2028") != strings.Count(string(page), "\u2028") {
		t.Error("the content has changed the markup of the page")
	}
	var x struct{ X string }
	if err := json.Unmarshal(read.Recording.Regions, &x); err != nil || x.X != hostile || read.Answer.Problems[0].ID != hostile || read.NoRecord != hostile {
		t.Errorf("%v, %q, %+v", err, x.X, read.Answer.Problems)
	}
}

func TestWrite_LimitsLists(t *testing.T) {
	a := &gate.Answer{Problems: make([]gate.Problem, maxProblems+3)}
	for i := range maxObjects + 5 {
		a.Objects = append(a.Objects, gate.Object{ID: fmt.Sprint(i), Outcome: gate.Done})
	}
	a.Objects[maxObjects+4].Outcome, a.Objects[maxObjects+3].Outcome = gate.Open, gate.Failed
	_, read := written(t, Content{Flow: "F", Answer: a})
	if got := (LeftOut{5, 3}); read.LeftOut != got || len(read.Answer.Objects) != maxObjects || len(read.Answer.Problems) != maxProblems {
		t.Errorf("left out %+v, %d objects, %d problems", read.LeftOut, len(read.Answer.Objects), len(read.Answer.Problems))
	}
	if o := read.Answer.Objects; o[0].Outcome != gate.Failed || o[1].Outcome != gate.Open || o[2].ID != "0" {
		t.Errorf("the first objects are %+v", o[:3])
	}
	if len(a.Objects) != maxObjects+5 || a.Objects[0].ID != "0" || a.Objects[0].Outcome != gate.Done {
		t.Error("the answer was changed")
	}
}

func TestPage_IsComplete(t *testing.T) {
	text := string(page)
	if strings.Count(text, data+"</script>") != 1 {
		t.Error("the page has no empty element for the data; is it built?")
	}
	for what, pattern := range map[string]string{
		"a script from elsewhere": `<script[^>]*\ssrc`,
		"a style from elsewhere":  `<link`,
		"an inline style":         `<[a-z]+[^>]*\sstyle\s*=\s*"`,
		"an import":               `import\s*\(|@import|from\s*"\.`,
	} {
		if found := regexp.MustCompile(pattern).FindString(text); found != "" {
			t.Errorf("the page has %s: %s", what, found)
		}
	}
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]+)"`).FindStringSubmatch(text)
	if len(policy) == 0 || !strings.HasPrefix(policy[1], "default-src 'none'; ") || strings.Contains(policy[1], "unsafe") || strings.Contains(policy[1], "connect-src") {
		t.Fatalf("policy %q", policy)
	}
	for element, begin := range map[string]string{"script": `<script type="module">`, "style": `<style>`} {
		_, rest, _ := strings.Cut(text, begin)
		inner, _, _ := strings.Cut(rest, "</"+element+">")
		sum := sha256.Sum256([]byte(inner))
		if want := fmt.Sprintf("%s-src 'sha256-%s'", element, base64.StdEncoding.EncodeToString(sum[:])); len(inner) < 1000 || !strings.Contains(policy[1], want) {
			t.Errorf("the policy %q does not allow the %s of %d bytes", policy[1], element, len(inner))
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestWrite_ReturnsErrorOfTheWriter(t *testing.T) {
	if err := Write(fullDisk{}, Content{Flow: "F", Answer: &gate.Answer{}}); err == nil {
		t.Error("a failed write is no error")
	}
}
