package webhook_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/channel/webhook"
	"github.com/openova-io/openova/products/openova-flow/relay/internal/standin"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

func file(t *testing.T, text string) channel.Secret {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return channel.Secret(name)
}

func delivery() channel.Delivery {
	return channel.Delivery{Rule: "prod", Notice: notice.Notice{Key: "cause/größe 100%", Episode: "e", Kind: notice.KindCause, Phase: notice.Opened, At: 1_795_475_147_659,
		Flows: []string{"f"}, Label: "db"}}
}

func TestSender_SignsAsStandardWebhooks(t *testing.T) {
	hook := &standin.Webhook{Secret: "a secret of bytes", Token: "t0ken"}
	srv := httptest.NewServer(hook)
	defer srv.Close()
	for _, secret := range []string{hook.Secret, "whsec_" + base64.StdEncoding.EncodeToString([]byte(hook.Secret))} {
		s := &webhook.Sender{URL: srv.URL, Secret: file(t, secret), Token: file(t, "t0ken"), Client: channel.NewClient()}
		if err := s.Send(t.Context(), delivery(), nil); err != nil {
			t.Error(err)
		}
	}
	if len(hook.Received()) != 1 || hook.Repeated() != 1 || len(hook.Faults()) != 0 {
		t.Errorf("%d received, %d repeated, %q", len(hook.Received()), hook.Repeated(), hook.Faults())
	}
	later := delivery()
	later.Notice.At++
	s := &webhook.Sender{URL: srv.URL, Secret: file(t, "another"), Client: channel.NewClient()}
	if err := s.Send(t.Context(), later, nil); err == nil || channel.IsPermanent(err) {
		t.Errorf("%v", err)
	}
	s.Secret = file(t, "whsec_%%")
	if err := s.Send(t.Context(), later, nil); err == nil {
		t.Error("a secret that is not base64 after whsec_ is accepted")
	}
}

// TestSender_CloudEvents reads the event with the SDK of CloudEvents.
func TestSender_CloudEvents(t *testing.T) {
	var event *cloudevents.Event
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		if event, err = cehttp.NewEventFromHTTPRequest(r); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	s := &webhook.Sender{URL: srv.URL, Secret: file(t, "x"), CloudEvents: true, Client: channel.NewClient()}
	if err := s.Send(t.Context(), delivery(), nil); err != nil || event == nil {
		t.Fatalf("Send: %v; the event is %v", err, event)
	}
	if err := event.Validate(); err != nil {
		t.Error(err)
	}
	var body webhook.Body
	if err := event.DataAs(&body); err != nil || body.Notice.Label != "db" || body.Rule != "prod" {
		t.Errorf("%+v %v", body, err)
	}
	subject, err := url.PathUnescape(event.Subject()) // the binding escapes attributes, and the SDK leaves them so
	if err != nil || event.Type() != "io.openova.flow.cause.opened" || subject != "cause/größe 100%" || event.Source() != "/openova-flow-relay/prod" ||
		event.Time().UnixMilli() != 1_795_475_147_659 || event.ID() == "" {
		t.Errorf("%v", event)
	}
}

func TestSender_FollowsNoRedirect(t *testing.T) {
	var reached bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	s := &webhook.Sender{URL: srv.URL, Secret: file(t, "x"), Token: file(t, "t0ken"), Client: channel.NewClient()}
	if err := s.Send(t.Context(), delivery(), nil); !channel.IsPermanent(err) || reached {
		t.Errorf("%v, reached: %v", err, reached)
	}
}
