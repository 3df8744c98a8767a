package alertmanager_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/channel/alertmanager"
	"github.com/openova-io/openova/products/openova-flow/relay/internal/standin"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

type memory []byte

func (m *memory) Get() []byte        { return *m }
func (m *memory) Set(v []byte) error { *m = v; return nil }

func cause(phase notice.Phase, severity notice.Severity) channel.Delivery {
	now := time.Now().UnixMilli()
	n := notice.Notice{Key: "cause/a", Episode: "e", Kind: notice.KindCause, Phase: phase, Severity: severity, At: now, Since: now - 60_000, Flows: []string{"prod"},
		Regions: []string{"fsn1", "hel1"}, Label: "db", Object: "HelmRelease/db/db", Class: "install-failed", Sentence: "It failed.", Link: "https://flow.example.com/?flow=prod",
		Blocked: 1, Blocks: []string{"fsn1/web"}}
	if phase == notice.Resolved {
		n.Until = now
	}
	return channel.Delivery{Rule: "r", Notice: n}
}

func TestSender_AlertFromOpenedToResolved(t *testing.T) {
	am := &standin.Alertmanager{}
	srv := httptest.NewServer(am)
	defer srv.Close()
	down := httptest.NewServer(nil)
	down.Close()
	s := &alertmanager.Sender{URLs: []string{down.URL, srv.URL}, Client: channel.NewClient()}
	var m memory
	send := func(d channel.Delivery) {
		t.Helper()
		if err := s.Send(t.Context(), d, &m); err != nil {
			t.Fatal(err)
		}
	}
	send(cause(notice.Opened, notice.Warning))
	if a := am.Alerts(); len(a) != 1 || am.Firing() != 1 || a[0].Labels["alertname"] != "OpenovaFlowRootCause" || a[0].Labels["region"] != "fsn1,hel1" ||
		a[0].Labels["severity"] != "warning" || a[0].Annotations["description"] != "It failed." || a[0].Annotations["blocks"] != "fsn1/web" || a[0].GeneratorURL == "" {
		t.Fatalf("%+v", a)
	}
	if err := s.Refresh(t.Context(), map[string][]byte{"s": m}); err != nil {
		t.Fatal(err)
	}
	if a := am.Alerts()[0]; a.Posts != 2 || a.Firing != 1 {
		t.Errorf("%+v", a)
	}
	updated := cause(notice.Updated, notice.Critical) // other labels: another alert
	updated.Notice.At = time.Now().UnixMilli()
	send(updated)
	if ended := am.Alerts()[0].EndsAt.UnixMilli(); ended != updated.Notice.At {
		t.Errorf("the alert before ended at %d, want %d", ended, updated.Notice.At)
	}
	if a := am.Alerts(); len(a) != 2 || am.Firing() != 1 || a[1].Labels["severity"] != "critical" {
		t.Errorf("%+v", a)
	}
	send(cause(notice.Resolved, notice.Critical))
	if am.Firing() != 0 || len(am.Alerts()) != 2 {
		t.Errorf("%+v", am.Alerts())
	}
	for _, kind := range []notice.Kind{notice.KindRollout, notice.KindRevision} {
		other := cause(notice.Opened, notice.Info)
		other.Notice.Kind = kind
		send(other)
	}
	if len(am.Alerts()) != 2 || len(am.Faults()) != 0 {
		t.Errorf("%+v %q", am.Alerts(), am.Faults())
	}
}

func TestSender_OneMemberMayAcceptLater(t *testing.T) {
	notFound := httptest.NewServer(http.NotFoundHandler())
	defer notFound.Close()
	down := httptest.NewServer(nil)
	down.Close()
	for _, c := range []struct {
		urls      []string
		permanent bool
	}{{[]string{notFound.URL, down.URL}, false}, {[]string{notFound.URL, notFound.URL}, true}} {
		s := &alertmanager.Sender{URLs: c.urls, Client: channel.NewClient()}
		var m memory
		if err := s.Send(t.Context(), cause(notice.Opened, notice.Warning), &m); err == nil || channel.IsPermanent(err) != c.permanent || !strings.Contains(err.Error(), "404") {
			t.Errorf("%v: %v, want permanent %v", c.urls, err, c.permanent)
		}
	}
}

func TestSender_FailsIfNoMemberAnswers(t *testing.T) {
	am := &standin.Alertmanager{}
	srv := httptest.NewServer(am)
	defer srv.Close()
	am.SetAway(true)
	var m memory
	s := &alertmanager.Sender{URLs: []string{srv.URL}, Client: channel.NewClient()}
	if err := s.Send(t.Context(), cause(notice.Opened, notice.Warning), &m); err == nil || channel.IsPermanent(err) || m != nil {
		t.Errorf("%v, kept %q", err, m)
	}
}
