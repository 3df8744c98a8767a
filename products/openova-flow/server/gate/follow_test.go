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

// serving is a transport that answers requests without sockets: fake time stands still while a goroutine waits for a socket.
type serving func(path string) (status int, body string)

func (s serving) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := s(r.URL.Path)
	return response(status, "", body), nil
}

func response(status int, etag, body string) *http.Response {
	w := httptest.NewRecorder()
	w.Header().Set("ETag", etag)
	w.WriteHeader(status)
	_, _ = w.WriteString(body)
	return w.Result()
}

type roundTrip func(r *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func snapshot(clusters ...cluster) string {
	var nodes []string
	for _, c := range clusters {
		nodes = append(nodes, c.nodes()...)
	}
	return `{"type":"snapshot","flow":{"id":"F","status":"x","startedAt":1},"nodes":[` + strings.Join(nodes, ",") + `],"relationships":[]}`
}

// follow runs a follower in fake time against a function that answers requests. It returns the results of Follow, and how long it took.
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
	broken, final := snapshot(region("one", a, at(before, a, failed), nil)), snapshot(region("one", a, at(before, a, givenUp), nil))
	for _, tt := range []struct {
		name   string
		ask    gate.Ask
		serve  func(time.Duration) string
		result string
		took   time.Duration
	}{
		{"a revision, which is exact and settles in 1 s", gate.Ask{Revision: a}, func(d time.Duration) string {
			if d < 20*time.Second {
				return open
			}
			return done
		}, passed, 21 * time.Second},
		{"everything", gate.Ask{}, func(time.Duration) string { return done }, passed, 10 * time.Second},
		{"a failure", gate.Ask{Revision: a}, func(time.Duration) string { return broken }, failing, 10 * time.Second},
		{"a final failure", gate.Ask{Revision: a}, func(time.Duration) string { return final }, failing, 0},
		{"a failure that is repaired before it settles", gate.Ask{Revision: a}, func(d time.Duration) string {
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
		if err != nil || got.Result != tt.result || took < tt.took || took >= tt.took+gate.DefaultPoll {
			t.Errorf("%s: %v after %s, %v", tt.name, got, took, err)
		}
	}
	if got, took, err := follow(t, gate.Ask{Revision: a}, 0, func(time.Duration, string) (int, string) { return 200, done }); err != nil || got.Result != passed || took != 0 {
		t.Errorf("without confirmation: %v after %s, %v", got, took, err)
	}
}

// TestFollower_Looks has a step for each look: the replies of the server, and the expected answer.
func TestFollower_Looks(t *testing.T) {
	type reply struct {
		status     int
		etag, body string
	}
	done, missing, unchanged := snapshot(region("one", a, at(a, a, ready), nil)), reply{404, "", `{"detail":"no such flow"}`}, reply{304, "", ""}
	first := reply{200, `"1"`, done}
	steps := []struct {
		name              string
		regions, snapshot reply
		match             string // the If-None-Match of the request for the snapshot
		result            string // of the answer; empty: none
		err               string // part of the error's text
	}{
		{"no flow", missing, missing, "", "", "does not exist"},
		{"unchanged without a snapshot before", missing, unchanged, "", "", "304"},
		{"an older server", reply{405, "", ""}, first, "", passed, ""},
		{"unchanged", missing, unchanged, `"1"`, passed, ""},
		{"a stale region", reply{200, "", `{"at":9,"regions":{"one":{"state":"stale","heard":5}}}`}, unchanged, `"1"`, pending, ""},
		{"no claims", reply{503, "", `{"detail":"draining"}`}, unchanged, "", pending, "draining"},
		{"claims that are no JSON", reply{200, "", "<html>"}, unchanged, "", pending, "claims"},
		{"no snapshot", missing, reply{500, "", ""}, `"1"`, pending, "500"},
		{"a snapshot that is none", missing, reply{200, `"2"`, `{"type":"x"}`}, `"1"`, pending, "x"},
		{"unchanged again", missing, unchanged, `"1"`, passed, ""},
		{"deleted", missing, missing, `"1"`, "", "does not exist"},
		{"created", missing, reply{200, "", done}, "", passed, ""},
		{"without an ETag", missing, reply{200, "", done}, "", passed, ""},
		{"no token", missing, first, "", passed, "no token"},
		{"no connection", missing, first, "", passed, "no connection"},
		{"cancelled", missing, first, "", "never reported", ""},
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		i, match, begin := 0, "", time.Now()
		f := gate.Follower{URL: "http://flow", Flow: "F", Settle: time.Hour, Poll: 2 * time.Second, Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if token := r.Header.Get("Authorization"); token != "Bearer T" {
				t.Errorf("the token is %q", token)
			}
			switch s := steps[i]; {
			case s.err == "no connection":
				return nil, errors.New(s.err)
			case s.name == "cancelled":
				cancel()
				return nil, ctx.Err()
			case strings.HasSuffix(r.URL.Path, "/regions"):
				return response(s.regions.status, s.regions.etag, s.regions.body), nil
			default:
				match = r.Header.Get("If-None-Match")
				return response(s.snapshot.status, s.snapshot.etag, s.snapshot.body), nil
			}
		})}}
		f.Token = func() (string, error) {
			if steps[i].err == "no token" {
				return "", errors.New("no token")
			}
			return "T", nil
		}
		f.OnAnswer = func(a *gate.Answer, err error) {
			s, result, text := steps[i], "", ""
			if a != nil {
				result = a.Result
			}
			if err != nil {
				text = err.Error()
			}
			if result != s.result || match != s.match || (err != nil) != (s.err != "") || !strings.Contains(text, s.err) || errors.Is(err, gate.ErrNoFlow) != (s.err == "does not exist") {
				t.Errorf("%s: %q, %v; If-None-Match is %q", s.name, result, err, match)
			}
			switch {
			case s.name == "a stale region":
				if a.At != 9 || len(a.Stale) != 1 || a.Stale[0].Since != 5 {
					t.Errorf("at %d, %+v", a.At, a.Stale)
				}
			case err == nil && a.At != time.Now().UnixMilli():
				t.Errorf("%s: at %d, want the time of the look", s.name, a.At)
			}
			i, match = i+1, ""
		}
		if a, err := f.Follow(ctx, gate.New(gate.Ask{})); a == nil || !errors.Is(err, context.Canceled) || i != len(steps)-1 {
			t.Errorf("%v, %v after %d looks", a, err, i)
		}
		if took := time.Since(begin); took != time.Duration(i)*f.Poll {
			t.Errorf("%d looks took %s", i+1, took)
		}
	})
}

func TestFollower_ErrorRestartsTheConfirmation(t *testing.T) {
	done := snapshot(region("one", a, at(a, a, ready), nil))
	got, took, err := follow(t, gate.Ask{}, 10*time.Second, func(d time.Duration, path string) (int, string) {
		if d > 8*time.Second && d < 20*time.Second {
			return 503, `{"detail":"draining"}`
		}
		return 200, done // for the claims too: the snapshot has none
	})
	if err != nil || got.Result != passed || took < 30*time.Second || took > 31*time.Second {
		t.Errorf("%v after %s, %v", got, took, err)
	}
}

func TestFollower_StaleRegionIsPending(t *testing.T) {
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
