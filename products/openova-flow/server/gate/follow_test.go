package gate_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/gate"
)

// serving is a transport that answers the requests of a follower without sockets, since fake time does not
// wait for sockets.
type serving func(path string) (status int, body string)

func (s serving) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	status, body := s(r.URL.Path)
	w.WriteHeader(status)
	_, _ = w.WriteString(body)
	return w.Result(), nil
}

func snapshot(clusters ...cluster) string {
	var nodes []string
	for _, c := range clusters {
		nodes = append(nodes, c.nodes()...)
	}
	return `{"type":"snapshot","flow":{"id":"F","status":"x","startedAt":1},"nodes":[` + strings.Join(nodes, ",") + `],"relationships":[]}`
}

// follow runs a follower in fake time against a function that answers requests. It returns the conclusive
// answer and the time until then.
func follow(t *testing.T, ask gate.Ask, settle time.Duration, serve func(since time.Duration, path string) (int, string)) (a *gate.Answer, took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin := time.Now()
		f := gate.Follower{URL: "http://flow", Flow: "F", Settle: settle, Client: &http.Client{Transport: serving(func(path string) (int, string) {
			return serve(time.Since(begin), path)
		})}}
		a, err = f.Follow(ctx, gate.New(ask))
		took = time.Since(begin)
	})
	return a, took, err
}

func TestFollower_ConfirmsAnswers(t *testing.T) {
	done, open := snapshot(region("one", a, at(a, a, ready), nil)), snapshot(region("one", a, at(before, a, working), nil))
	broken := snapshot(region("one", a, at(before, a, failed), nil))
	for _, tt := range []struct {
		name   string
		ask    gate.Ask
		serve  func(time.Duration) string
		result string
		took   time.Duration
	}{
		{"a revision, within 2 s of the truth", gate.Ask{Revision: a}, func(d time.Duration) string {
			if d < 20*time.Second {
				return open
			}
			return done
		}, passed, 21 * time.Second},
		{"everything", gate.Ask{}, func(time.Duration) string { return done }, passed, 10 * time.Second},
		{"a failure", gate.Ask{Revision: a}, func(time.Duration) string { return broken }, failing, 10 * time.Second},
		{"a failure that does not stand", gate.Ask{Revision: a}, func(d time.Duration) string {
			if d < 9*time.Second {
				return broken
			}
			return done
		}, passed, 10 * time.Second},
	} {
		got, took, err := follow(t, tt.ask, gate.DefaultSettle, func(d time.Duration, path string) (int, string) {
			if strings.HasSuffix(path, "/regions") {
				return 404, ""
			}
			return 200, tt.serve(d)
		})
		if err != nil || got.Result != tt.result || took < tt.took || took > tt.took+time.Second {
			t.Errorf("%s: %v after %s, %v", tt.name, got, took, err)
		}
	}
}

// An answer must be confirmed again after an error.
func TestFollower_ErrorRestartsTheConfirmation(t *testing.T) {
	done := snapshot(region("one", a, at(a, a, ready), nil))
	got, took, err := follow(t, gate.Ask{}, 10*time.Second, func(d time.Duration, path string) (int, string) {
		if d > 8*time.Second && d < 20*time.Second {
			return 503, `{"detail":"draining"}`
		}
		return 200, done // for both requests: a snapshot, and no claims
	})
	if err != nil || got.Result != passed || took < 30*time.Second || took > 31*time.Second {
		t.Errorf("%v after %s, %v", got, took, err)
	}
}

func TestFollower_StaleRegionIsNoSuccess(t *testing.T) {
	done := snapshot(region("one", a, at(a, a, ready), nil))
	got, took, err := follow(t, gate.Ask{Revision: a}, time.Second, func(d time.Duration, path string) (int, string) {
		state := "stale"
		if d > time.Minute {
			state = "fresh"
		}
		if strings.HasSuffix(path, "/regions") {
			return 200, fmt.Sprintf(`{"at":1000000000000,"regions":{"one":{"state":%q,"since":1,"heard":999999999000,"cluster":"c"}}}`, state)
		}
		return 200, done
	})
	if err != nil || got.Result != passed || took < time.Minute || got.At != 1_000_000_000_000 {
		t.Errorf("%v after %s, %v", got, took, err)
	}
}

func TestFollower_ContextEnds(t *testing.T) {
	got, _, err := follow(t, gate.Ask{}, 0, func(time.Duration, string) (int, string) { return 404, `{"detail":"no such flow"}` })
	if got != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", got, err)
	}
}

// junit has the fields of the JUnit schema that CI systems read.
type junit struct {
	XMLName xml.Name `xml:"testsuites"`
	Tests   int      `xml:"tests,attr"`
	Suites  []struct {
		Name      string `xml:"name,attr"`
		Tests     int    `xml:"tests,attr"`
		Failures  int    `xml:"failures,attr"`
		Errors    int    `xml:"errors,attr"`
		Timestamp string `xml:"timestamp,attr"`
		Cases     []struct {
			ClassName string  `xml:"classname,attr"`
			Name      string  `xml:"name,attr"`
			Time      float64 `xml:"time,attr"`
			Failure   *struct {
				Message string `xml:"message,attr"`
				Type    string `xml:"type,attr"`
				Text    string `xml:",chardata"`
			} `xml:"failure"`
			Error *struct {
				Type string `xml:"type,attr"`
			} `xml:"error"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func TestAnswer_Reports(t *testing.T) {
	db := generation(5, 5, `"state":"broken","problem":true,"final":true,"command":["flux","reconcile","helmrelease","db","-n","shop"],"cause":{"class":"given-up","sentence":"db <&> \u001b[2J | was given up."}`)
	web := generation(5, 5, ready)
	web.times = `,"startedAt":1000,"endedAt":3500`
	got := watch(t, gate.Ask{}).want(pending, region("one", a, at(a, a, ready), units{"web": web, "db": db}), region("two", a, at(before, a, working), nil))

	var b strings.Builder
	if err := got.WriteJUnit(&b, "F"); err != nil {
		t.Fatal(err)
	}
	var read junit
	d := xml.NewDecoder(strings.NewReader(b.String()))
	d.Strict = true
	if err := d.Decode(&read); err != nil {
		t.Fatalf("%v\n%s", err, &b)
	}
	if read.Tests != 4 || len(read.Suites) != 2 {
		t.Fatalf("%+v", read)
	}
	one, two := read.Suites[0], read.Suites[1]
	if one.Name != "one" || one.Tests != 3 || one.Failures != 1 || one.Errors != 0 || two.Name != "two" || two.Tests != 1 || two.Errors != 1 {
		t.Errorf("%+v", read)
	}
	if _, err := time.Parse("2006-01-02T15:04:05", one.Timestamp); err != nil {
		t.Error(err)
	}
	for _, c := range one.Cases {
		switch c.Name {
		case "one/shop/db":
			if c.ClassName != "one.HelmRelease" || c.Failure == nil || c.Failure.Type != "given-up" || !strings.Contains(c.Failure.Message, `<&> \x1b[2J`) || !strings.Contains(c.Failure.Text, "Run: flux reconcile helmrelease db -n shop") {
				t.Errorf("%+v", c.Failure)
			}
		case "one/shop/web":
			if c.Failure != nil || c.Error != nil || c.Time != 2.5 {
				t.Errorf("%+v", c)
			}
		}
	}
	if e := two.Cases[0].Error; e == nil || e.Type != "timeout" {
		t.Errorf("%+v", two.Cases[0])
	}

	b.Reset()
	if err := got.WriteMarkdown(&b, "F"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"## Flow F: pending\n", `- **one/shop/db**: db \<\&\> \\x1b\[2J \| was given up\.`, "\n      flux reconcile helmrelease db -n shop\n"} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("not in the summary: %q\n%s", text, &b)
		}
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var back gate.Answer
	if err := json.Unmarshal(text, &back); err != nil || back.Result != pending || len(back.Objects) != 4 || back.Problems[0].Command[0] != "flux" {
		t.Errorf("%v\n%s", err, text)
	}
}
