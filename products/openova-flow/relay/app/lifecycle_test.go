package app_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/app"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// phases returns label and phase of each notice that the webhook got.
func (s *stage) phases() string {
	var all []string
	for _, n := range s.hook.Received() {
		all = append(all, n.Label+" "+string(n.Phase))
	}
	return strings.Join(all, ", ")
}

func TestRun_ReturnsNilAtTheDeadlineOfItsContext(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.configure(everything)
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
		defer cancel()
		if err := app.Run(ctx, app.Config{File: filepath.Join(s.dir, "relay.yaml"), Outbox: filepath.Join(s.dir, "relay.db"), Server: s.own, Channels: s.client, Log: slog.New(slog.DiscardHandler)}); err != nil {
			t.Error(err)
		}
	})
}

func TestRelay_DeletedFlowResolvesItsNotices(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.relay(everything)
		s.post(failing("fsn1", "db", time.Now(), "db could not be installed."))
		time.Sleep(2 * time.Minute)
		req, err := http.NewRequest(http.MethodDelete, "http://localhost/v1/flows/bootstrap", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		time.Sleep(2 * time.Minute)
		if got := s.phases(); got != "db opened, db resolved" {
			t.Errorf("%s", got)
		}
	})
}

// TestRelay_RemovedRuleIsForgotten removes a rule whose alerts fire. They end in Alertmanager, since the relay does not send them again.
func TestRelay_RemovedRuleIsForgotten(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.relay("\nrules:\n  - {name: one, channels: [alerts]}\n")
		s.post(failing("fsn1", "db", time.Now(), "db could not be installed."))
		time.Sleep(20 * time.Minute)
		if s.alerts.Firing() != 1 || s.alerts.Alerts()[0].Firing != 1 {
			t.Errorf("%+v", s.alerts.Alerts())
		}
		s.configure("\nrules:\n  - {name: two, channels: [alerts], kinds: [region]}\n")
		time.Sleep(5 * time.Minute)
		if s.alerts.Firing() != 0 {
			t.Errorf("%+v", s.alerts.Alerts())
		}
	})
}

func TestRelay_SlackMessageThatWasDeletedIsPostedAgain(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.relay(everything)
		s.post(failing("fsn1", "db", time.Now(), "db could not be installed."))
		time.Sleep(2 * time.Minute)
		s.slack.Delete()
		s.post(ready("fsn1", "db"))
		time.Sleep(2 * time.Minute)
		if m := s.slack.Messages(); len(m) != 1 || !strings.Contains(m[0].Text, "resolved") {
			t.Errorf("%+v", m)
		}
	})
}

// TestRelay_ServerRestartRepeatsNothing restarts a server that stores nothing. The emitters send everything again.
func TestRelay_ServerRestartRepeatsNothing(t *testing.T) {
	messages := recording(t, "kit-fsn1")
	inBubble(t, time.UnixMilli(messages[0].At), func(s *stage) {
		s.relay(everything)
		s.play(messages)
		time.Sleep(5 * time.Minute)
		s.post(failing("fsn1", "db", time.Now(), "db could not be installed."))
		time.Sleep(2 * time.Minute)
		before := len(s.hook.Received())
		resp, err := s.client.Get("http://localhost/v1/flows/bootstrap/snapshot")
		if err != nil {
			t.Fatal(err)
		}
		state, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		s.restartServer()
		time.Sleep(20 * time.Second)
		s.post(string(state))
		time.Sleep(10 * time.Minute)
		if got := s.hook.Received(); len(got) != before {
			t.Errorf("%+v", got[before:])
		}
		s.post(ready("fsn1", "db"))
		time.Sleep(2 * time.Minute)
		if got := s.hook.Received(); len(got) != before+1 || got[before].Phase != notice.Resolved || got[before].Label != "db" {
			t.Errorf("%+v", got[before:])
		}
	})
}
