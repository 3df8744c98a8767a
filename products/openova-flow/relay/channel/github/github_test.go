package github_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/channel/github"
	"github.com/openova-io/openova/products/openova-flow/relay/internal/standin"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

const sha = "0123456789abcdef0123456789abcdef01234567"

type memory []byte

func (m *memory) Get() []byte        { return *m }
func (m *memory) Set(v []byte) error { *m = v; return nil }

func setUp(t *testing.T) (*standin.GitHub, *github.Sender) {
	t.Helper()
	hub := &standin.GitHub{Token: "t0ken", Repo: "acme/fleet"}
	srv := httptest.NewServer(hub)
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("t0ken"), 0o600); err != nil {
		t.Fatal(err)
	}
	return hub, &github.Sender{API: srv.URL, Token: channel.Secret(file), Client: channel.NewClient(),
		Repositories: []github.Repository{{Name: "acme/fleet", Sources: []string{"https://github.com/acme/fleet", "oci://ghcr.io/acme/fleet"}}}}
}

func revision(source string, results map[string]string) channel.Delivery {
	r := &notice.Revision{Source: source, Commit: sha, Results: make(map[string]notice.Result)}
	for region, result := range results {
		r.Results[region] = notice.Result{Result: result}
		if result == "failed" {
			r.Results[region] = notice.Result{Result: result, Sentence: strings.Repeat("größer ", 40)}
		}
	}
	return channel.Delivery{Rule: "r", Notice: notice.Notice{Key: "k", Kind: notice.KindRevision, Phase: notice.Updated, Flows: []string{"prod"}, Revision: r, Link: "https://flow.example.com/?flow=prod"}}
}

func TestSender_StatusOfTheCommitAndDeploymentOfEachRegion(t *testing.T) {
	hub, s := setUp(t)
	var m memory
	for _, results := range []map[string]string{
		{"fsn1": "pending", "hel1": "pending"}, {"fsn1": "passed", "hel1": "pending"}, {"fsn1": "passed", "hel1": "failed"}, {"fsn1": "passed", "hel1": "passed"},
	} {
		for range 2 {
			if err := s.Send(t.Context(), revision("https://github.com/acme/fleet.git", results), &m); err != nil {
				t.Fatal(err)
			}
		}
	}
	m = nil // as after a crash
	if err := s.Send(t.Context(), revision("oci://ghcr.io/acme/fleet", map[string]string{"fsn1": "passed", "hel1": "passed"}), &m); err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, c := range hub.Statuses() {
		states = append(states, c.State)
		if c.SHA != sha || c.Context != "openova-flow" || c.TargetURL == "" {
			t.Errorf("%+v", c)
		}
	}
	if want := []string{"pending", "failure", "success"}; !slices.Equal(states, want) {
		t.Errorf("%q", states)
	}
	d := hub.Deployments()
	if len(d) != 2 || d[0].Environment != "fsn1" || !slices.Equal(d[0].States, []string{"in_progress", "success"}) || !slices.Equal(d[1].States, []string{"in_progress", "failure", "success"}) {
		t.Errorf("%+v", d)
	}
	if len(hub.Faults()) != 0 {
		t.Errorf("%q", hub.Faults())
	}
}

func TestSender_ReportsOnlyToListedRepositories(t *testing.T) {
	hub, s := setUp(t)
	var m memory
	for _, source := range []string{"https://github.com/acme/other", "https://evil.example/acme/fleet", "http://github.com/acme/fleet", "https://github.com/acme/fleet/..", "https://github.com/acme/other/../fleet", "https://github.com/acme%2Ffleet",
		"https://github.com:8443/acme/fleet", "https://github.com@evil.example/acme/fleet", "https://github.com\\@evil.example/acme/fleet", "https://evil.example/https://github.com/acme/fleet", ""} {
		if err := s.Send(t.Context(), revision(source, map[string]string{"fsn1": "passed"}), &m); err != nil {
			t.Error(err)
		}
	}
	if len(hub.Statuses())+len(hub.Deployments())+len(hub.Faults()) != 0 {
		t.Errorf("%+v %+v %q", hub.Statuses(), hub.Deployments(), hub.Faults())
	}
}

// TestSender_FollowsNoRedirect has the API send the relay to another host, which must not get the token.
func TestSender_FollowsNoRedirect(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	for _, code := range []int{http.StatusMovedPermanently, http.StatusTemporaryRedirect} {
		_, s := setUp(t)
		srv := httptest.NewServer(http.RedirectHandler(other.URL, code))
		s.API = srv.URL
		var m memory
		if err := s.Send(t.Context(), revision("https://github.com/acme/fleet", map[string]string{"fsn1": "passed"}), &m); err == nil || reached || strings.Contains(err.Error(), "t0ken") {
			t.Errorf("%d: %v, reached: %v", code, err, reached)
		}
		srv.Close()
	}
}

func TestSender_FinalStates(t *testing.T) {
	hub, s := setUp(t)
	var m memory
	send := func(phase notice.Phase, results map[string]notice.Result) {
		t.Helper()
		d := revision("https://github.com/acme/fleet", nil)
		d.Notice.Phase, d.Notice.Revision.Results = phase, results
		if err := s.Send(t.Context(), d, &m); err != nil {
			t.Fatal(err)
		}
	}
	next := hashOf("8")
	send(notice.Opened, map[string]notice.Result{"fsn1": {Result: "pending"}})
	send(notice.Updated, map[string]notice.Result{"fsn1": {Result: "pending", OvertakenBy: next}, "hel1": {Result: "pending", OvertakenBy: next}})
	send(notice.Resolved, map[string]notice.Result{"fsn1": {Result: "passed", OvertakenBy: next}, "hel1": {Result: "passed", OvertakenBy: next}})
	statuses := hub.Statuses()
	if len(statuses) != 3 || statuses[2].State != "success" || !strings.Contains(statuses[2].Description, next[:12]) {
		t.Errorf("%+v", statuses)
	}
	if d := hub.Deployments(); len(d) != 1 || d[0].Environment != "fsn1" || !slices.Equal(d[0].States, []string{"in_progress", "inactive"}) {
		t.Errorf("%+v", d)
	}
	m = nil
	send(notice.Resolved, map[string]notice.Result{"fsn1": {Result: notice.Unknown, Sentence: "Gone."}})
	if statuses = hub.Statuses(); len(statuses) != 4 || statuses[3].State != "error" || statuses[3].Description != "fsn1: Gone." {
		t.Errorf("%+v", statuses)
	}
	m = nil
	for i, result := range []notice.Result{{Result: "failed"}, {Result: "failed", OvertakenBy: next}, {Result: notice.Unknown}} {
		send(notice.Updated, map[string]notice.Result{"fsn1": result})
		statuses = hub.Statuses()
		if got := statuses[len(statuses)-1].Description; len(statuses) != 5+i || got == "" || strings.HasPrefix(got, " ") {
			t.Errorf("%d statuses, description %q of %+v", len(statuses), got, result)
		}
	}
	if len(hub.Faults()) != 0 {
		t.Errorf("%q", hub.Faults())
	}
}

func hashOf(digit string) string { return strings.Repeat(digit, 40) }

func TestSender_RateLimitIsBusy(t *testing.T) {
	hub, s := setUp(t)
	hub.LimitNext(1)
	var m memory
	err := s.Send(t.Context(), revision("https://github.com/acme/fleet", map[string]string{"fsn1": "passed"}), &m)
	var busy *channel.Busy
	if !errors.As(err, &busy) || busy.After < 80*time.Second || busy.After > 91*time.Second {
		t.Errorf("%v", err)
	}
}
