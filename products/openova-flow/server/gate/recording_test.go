package gate_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/gate"
)

// pages answers like a server with the messages 1 to head, perPage in each response.
func pages(head, perPage int, other map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what := strings.TrimPrefix(r.URL.Path, "/v1/flows/F/")
		if what != "events" {
			if body, ok := other[what]; ok {
				_, _ = fmt.Fprint(w, body)
				return
			}
			w.WriteHeader(http.StatusNotFound)
			return
		}
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		var events []string
		for seq := after + 1; seq <= min(head, after+perPage); seq++ {
			events = append(events, fmt.Sprintf(`{"seq":%d,"at":1,"message":{}}`, seq))
		}
		_, _ = fmt.Fprintf(w, `{"base":{"seq":%d},"baseSeq":%d,"events":[%s],"oldest":1,"head":%d}`, after, after, strings.Join(events, ","), head)
	})
}

const eventBytes = len(`{"seq":1,"at":1,"message":{}}`)

func TestFollower_Record(t *testing.T) {
	all := map[string]string{"regions": `{"at":7,"regions":{}}`, "rollouts": `{"rollouts":[]}`, "revisions": `{"revisions":[]}`}
	for _, tt := range []struct {
		name          string
		head, perPage int
		other         map[string]string
		limit         int
		bases         []string // of the pages
		events        int
		dropped       int
		missing       []string
		at            int64 // 0: not from the server's clock, so only its presence is checked
	}{
		{"all", 5, 2, all, 0, []string{`{"seq":0}`, "", ""}, 5, 0, []string{}, 7},
		{"no messages", 0, 2, all, 0, []string{`{"seq":0}`}, 0, 0, []string{}, 7},
		{"the oldest dropped", 5, 2, all, 3*eventBytes + len(`{"seq":2}`), []string{`{"seq":2}`, ""}, 3, 2, []string{}, 7},
		{"a state over the limit", 5, 2, all, 20, nil, 0, 5, []string{"regions", "rollouts", "revisions"}, 0},
		{"an older server", 5, 9, nil, 0, []string{`{"seq":0}`}, 5, 0, []string{"regions", "rollouts", "revisions"}, 0},
		{"no JSON", 5, 9, map[string]string{"regions": `{"at":7}`, "rollouts": "<html>", "revisions": "{}"}, 0, []string{`{"seq":0}`}, 5, 0, []string{"rollouts"}, 7},
	} {
		server := httptest.NewServer(pages(tt.head, tt.perPage, tt.other))
		f := gate.Follower{URL: server.URL, Flow: "F"}
		r, err := f.Record(t.Context(), tt.limit)
		server.Close()
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var bases []string
		events := 0
		for _, p := range r.Pages {
			bases = append(bases, string(p.Base))
			events += len(p.Events)
		}
		if !slices.Equal(bases, tt.bases) || events != tt.events || r.Dropped != tt.dropped || !slices.Equal(r.Missing, tt.missing) {
			t.Errorf("%s: bases %q, %d messages, %d dropped, missing %q", tt.name, bases, events, r.Dropped, r.Missing)
		}
		if tt.at != 0 && r.At != tt.at || r.At == 0 {
			t.Errorf("%s: at %d, want %d", tt.name, r.At, tt.at)
		}
	}
}

func TestFollower_RecordIsAtATimeAfterItsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := gate.Follower{URL: "http://flow", Flow: "F", Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/events") {
				time.Sleep(time.Second)
				return response(200, "", `{"base":{},"baseSeq":0,"events":[],"head":0}`), nil
			}
			return response(404, "", ""), nil
		})}}
		answered := time.Now().Add(time.Second)
		if r, err := f.Record(t.Context(), 0); err != nil || r.At < answered.UnixMilli() {
			t.Errorf("%+v, %v; want a time from %d on", r, err, answered.UnixMilli())
		}
	})
}

func TestFollower_RecordFails(t *testing.T) {
	for status, want := range map[int]error{http.StatusNotFound: gate.ErrNoFlow, http.StatusForbidden: nil} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		f := gate.Follower{URL: server.URL, Flow: "F"}
		r, err := f.Record(t.Context(), 0)
		server.Close()
		if r != nil || err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("status %d: %v, %v", status, r, err)
		}
	}
}

// A server may drop messages between two requests. Messages after such a gap must not be folded into the state before it.
func TestFollower_RecordWithGap(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("after") {
		case "0":
			_, _ = fmt.Fprint(w, `{"base":{"first":1},"baseSeq":0,"events":[{"seq":1},{"seq":2}],"head":9}`)
		case "2":
			_, _ = fmt.Fprint(w, `{"base":{"later":1},"baseSeq":7,"events":[{"seq":8},{"seq":9}],"head":9}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	f := gate.Follower{URL: server.URL, Flow: "F"}
	r, err := f.Record(t.Context(), 0)
	if err != nil || len(r.Pages) != 1 || string(r.Pages[0].Base) != `{"later":1}` || r.Dropped != 2 {
		t.Errorf("%v, %+v", err, r)
	}
}
