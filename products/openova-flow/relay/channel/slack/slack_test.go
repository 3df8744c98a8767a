package slack_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/channel/slack"
	"github.com/openova-io/openova/products/openova-flow/relay/internal/standin"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

type memory []byte

func (m *memory) Get() []byte        { return *m }
func (m *memory) Set(v []byte) error { *m = v; return nil }

func setUp(t *testing.T) (*standin.Slack, *slack.Sender) {
	t.Helper()
	s := &standin.Slack{Token: "t0ken", Channel: "C0123456789"}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("t0ken"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range s.Faults() {
			t.Error(f)
		}
	})
	return s, &slack.Sender{Channel: s.Channel, Token: channel.Secret(file), API: srv.URL + "/api/", Client: channel.NewClient()}
}

func cause(phase notice.Phase) channel.Delivery {
	now := time.Now().UnixMilli()
	n := notice.Notice{Key: "cause/a", Episode: "e", Kind: notice.KindCause, Phase: phase, Severity: notice.Critical, At: now, Since: now - 90_000, Flows: []string{"prod"}, Regions: []string{"fsn1"},
		Label: "db", Sentence: "It failed.", Link: "https://flow.example.com/", Blocked: 2, Blocks: []string{"fsn1/a", "fsn1/b"}, Command: []string{"kubectl", "get", "pods"}}
	if phase == notice.Resolved {
		n.Until = now
	}
	return channel.Delivery{Rule: "r", Notice: n}
}

func send(t *testing.T, s *slack.Sender, d channel.Delivery, m channel.Memory) {
	t.Helper()
	if err := s.Send(t.Context(), d, m); err != nil {
		t.Fatal(err)
	}
}

func TestSender_OneMessageFromOpenedToResolved(t *testing.T) {
	hub, s := setUp(t)
	var m memory
	d := cause(notice.Opened)
	send(t, s, d, &m)
	first := hub.Messages()
	if len(first) != 1 || first[0].Text != d.Notice.Title()+": "+d.Notice.Status()+". It failed." {
		t.Fatalf("%+v", first)
	}
	parts := []string{d.Notice.Title(), "It failed.", "Open"}
	for _, f := range d.Notice.Facts() {
		parts = append(parts, f.Name+" "+f.Value)
	}
	for _, part := range parts {
		if !strings.Contains(first[0].Body, part) {
			t.Errorf("%q is not in %q", part, first[0].Body)
		}
	}
	send(t, s, cause(notice.Updated), &m)
	send(t, s, cause(notice.Resolved), &m)
	if got := hub.Messages(); len(got) != 1 || got[0].TS != first[0].TS || got[0].Edits != 2 || !strings.Contains(got[0].Text, "resolved") {
		t.Errorf("%+v", got)
	}
	if got := hub.Replies(); len(got) != 1 || got[0].Thread != first[0].TS || got[0].Text != "resolved, took 1m30s" {
		t.Errorf("%+v", got)
	}
	if hub.Limited() != 0 {
		t.Errorf("%d requests above the limit", hub.Limited())
	}
}

func TestSender_NoticeWithoutSentence(t *testing.T) {
	hub, s := setUp(t)
	d := cause(notice.Opened)
	d.Notice.Sentence = ""
	send(t, s, d, new(memory))
	if got := hub.Messages(); len(got) != 1 || got[0].Text != d.Notice.Title()+": "+d.Notice.Status() {
		t.Errorf("%+v", got)
	}
}

// TestSender_RepetitionFindsItsMessage loses the answer to a post, first of the message and then of the reply.
func TestSender_RepetitionFindsItsMessage(t *testing.T) {
	hub, s := setUp(t)
	other := cause(notice.Opened)
	other.Notice.Episode = "other"
	send(t, s, other, new(memory))
	var m memory
	for _, phase := range []notice.Phase{notice.Opened, notice.Resolved} {
		d := cause(phase)
		hub.LoseAnswers(1)
		if err := s.Send(t.Context(), d, &m); err == nil || channel.IsPermanent(err) {
			t.Errorf("%s: %v", phase, err)
		}
		d.Repeat = true
		send(t, s, d, &m)
	}
	if len(hub.Messages()) != 2 || len(hub.Replies()) != 1 {
		t.Errorf("%+v %+v", hub.Messages(), hub.Replies())
	}
	hub.Delete()
	send(t, s, cause(notice.Updated), &m)
	if got := hub.Messages(); len(got) != 1 || got[0].TS != string(m) {
		t.Errorf("%+v, remembers %q", got, m)
	}
}

func TestSender_ErrorsOfTheAPI(t *testing.T) {
	_, s := setUp(t)
	hub := &standin.Slack{Token: "other", Channel: s.Channel}
	srv := httptest.NewServer(hub)
	defer srv.Close()
	s.API = srv.URL + "/api"
	if err := s.Send(t.Context(), cause(notice.Opened), new(memory)); err == nil || channel.IsPermanent(err) || !strings.Contains(err.Error(), "invalid_auth") {
		t.Errorf("%v", err)
	}
	hub.Token, hub.Channel = "t0ken", "C1111111111"
	if err := s.Send(t.Context(), cause(notice.Opened), new(memory)); !channel.IsPermanent(err) {
		t.Errorf("%v", err)
	}
}

func TestSender_ColorOfAMessage(t *testing.T) {
	for _, c := range []struct {
		kind     notice.Kind
		severity notice.Severity
		phase    notice.Phase
		name     string
	}{
		{notice.KindCause, notice.Critical, notice.Opened, "red_circle"}, {notice.KindCause, notice.Warning, notice.Opened, "large_yellow_circle"},
		{notice.KindCause, notice.Critical, notice.Resolved, "large_green_circle"}, {notice.KindRollout, notice.Info, notice.Opened, "large_blue_circle"},
		{notice.KindRollout, notice.Critical, notice.Resolved, "red_circle"}, {notice.KindRollout, notice.Info, notice.Resolved, "large_green_circle"},
		{notice.KindRevision, notice.Critical, notice.Resolved, "red_circle"},
	} {
		d := cause(c.phase)
		d.Notice.Kind, d.Notice.Severity = c.kind, c.severity
		switch c.kind {
		case notice.KindRollout:
			d.Notice.Rollout = &notice.Rollout{Outcome: "x"}
		case notice.KindRevision:
			d.Notice.Revision = &notice.Revision{}
		}
		hub, s := setUp(t)
		send(t, s, d, new(memory))
		if got := hub.Messages()[0].Emoji; got != c.name {
			t.Errorf("%s %s %s: %s, want %s", c.kind, c.severity, c.phase, got, c.name)
		}
	}
}

func TestSender_ErrorSaysWhatToChange(t *testing.T) {
	for code, c := range map[string]struct{ more, part string }{
		"missing_scope":     {`,"needed":"chat:write","provided":"channels:history"`, "chat:write"},
		"invalid_auth":      {"", "tokenFile"},
		"not_in_channel":    {"", "invite"},
		"channel_not_found": {"", "channel"},
		"a_new_error":       {"", "a_new_error"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"ok":false,"error":%q%s}`, code, c.more)
		}))
		_, s := setUp(t)
		s.API = srv.URL + "/"
		var m memory
		err := s.Send(t.Context(), cause(notice.Opened), &m)
		srv.Close()
		if err == nil || !strings.Contains(err.Error(), code) || !strings.Contains(strings.ReplaceAll(err.Error(), code, ""), strings.ReplaceAll(c.part, code, "")) {
			t.Errorf("%s: %v, want %q", code, err, c.part)
		}
	}
}
