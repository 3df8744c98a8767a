package app_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

const everything = `
rules:
  - name: all
    channels: [hook, alerts, team, traces]
`

// TestRelay_RecordedBootstrap replays the bootstrap of one region. There are notices of one rollout and one root cause, but not of seaweedfs, whose install
// fails and is repaired before the notice is due.
func TestRelay_RecordedBootstrap(t *testing.T) {
	messages := recording(t, "kit-fsn1")
	inBubble(t, time.UnixMilli(messages[0].At), func(s *stage) {
		s.relay(everything)
		s.play(messages)
		time.Sleep(5 * time.Minute)
		want := map[string]string{"rollout": "opened updated resolved", "HelmRelease/flux-system/bp-keycloak": "opened resolved"}
		if got := phasesByObject(s); !maps.Equal(got, want) {
			t.Errorf("%v", got)
		}
		notices := s.hook.Received()
		last := notices[len(notices)-1]
		if got := s.slack.Messages(); len(got) != 2 || len(s.slack.Replies()) != 2 || !strings.HasPrefix(got[0].Text, last.Title()+": "+last.Status()) || got[0].Edits < 3 {
			t.Errorf("%+v", got)
		}
		if got := s.alerts.Alerts(); len(got) != 1 || got[0].Firing != 1 || s.alerts.Firing() != 0 || got[0].Labels["object"] != "HelmRelease/flux-system/bp-keycloak" || got[0].Labels["team"] != "platform" {
			t.Errorf("%+v", got)
		}
		if s.slack.Limited() != 0 || s.hook.Repeated() != 0 {
			t.Errorf("%d above the limit, %d repeated", s.slack.Limited(), s.hook.Repeated())
		}
		if r := last.Rollout; r == nil || r.Outcome != "succeeded" || r.Total != 24 || r.Done != 24 || len(r.Members) != 24 {
			t.Errorf("%+v", last)
		}
		for i := 1; i < len(notices); i++ {
			if notices[i].At < notices[i-1].At {
				t.Errorf("%s came after %s", notices[i].Key, notices[i-1].Key)
			}
		}
	})
}

func TestRelay_RecordedBootstrapIsOneTrace(t *testing.T) {
	messages := recording(t, "kit-fsn1")
	inBubble(t, time.UnixMilli(messages[0].At), func(s *stage) {
		s.relay(everything)
		s.play(messages)
		time.Sleep(5 * time.Minute)
		traces := s.traces.Traces()
		if len(traces) != 1 {
			t.Fatalf("%d traces", len(traces))
		}
		var root *tracepb.Span
		named := make(map[string]*tracepb.Span)
		waiting := 0
		for _, span := range traces[0] {
			switch {
			case span.ParentSpanId == nil:
				root = span
			case span.Name == "waiting":
				waiting++
			default:
				named[span.Name] = span
			}
		}
		if root == nil || len(named) != 24 || waiting < 10 || root.Status.Code != tracepb.Status_STATUS_CODE_OK {
			t.Fatalf("%v, %d members, %d wait", root, len(named), waiting)
		}
		for name, span := range named {
			if span.StartTimeUnixNano < root.StartTimeUnixNano || span.EndTimeUnixNano > root.EndTimeUnixNano || span.EndTimeUnixNano < span.StartTimeUnixNano {
				t.Errorf("%s is outside of the rollout", name)
			}
			for _, link := range span.Links {
				if traces[0][string(link.SpanId)] == nil {
					t.Errorf("%s is linked to no span", name)
				}
			}
		}
		failed := make(map[string]bool) // by node: it has an exception with a message
		for _, span := range []*tracepb.Span{root, named["bp-seaweedfs"], named["bp-keycloak"]} {
			for _, e := range span.Events {
				failed[value(e.Attributes, "openova.flow.node")] = e.Name == "exception" && value(e.Attributes, "exception.message") != ""
			}
		}
		if !failed["fsn1/bp-seaweedfs"] || !failed["fsn1/bp-keycloak"] || named["bp-seaweedfs"].Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
			t.Errorf("%v", failed)
		}
		if loki := named["bp-loki"]; len(loki.Links) == 0 {
			t.Errorf("%v", loki)
		}
	})
}

func value(list []*common.KeyValue, key string) string {
	for _, kv := range list {
		if kv.Key == key {
			return kv.Value.GetStringValue()
		}
	}
	return ""
}
