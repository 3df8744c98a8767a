package e2e

import (
	"testing"
	"time"

	"github.com/openova-io/openova/test/e2e/truth"
)

var kits = map[string]string{"fsn1": "kit-fsn1", "hel1": "kit-hel1"}

// kitHolds has, by release, statuses that its recording contains in this order. Others may be between them.
var kitHolds = map[string][]string{
	"fsn1/bp-seaweedfs": {"failed", "succeeded"},                          // its install fails and is repaired
	"fsn1/bp-grafana":   {"running", "succeeded", "running", "succeeded"}, // waits for bp-seaweedfs, and is upgraded later
	"fsn1/bp-keycloak":  {"succeeded", "failed", "succeeded"},             // its upgrade fails, is rolled back and repaired
	"hel1/bp-powerdns":  {"failed", "succeeded"},                          // rejected until its retries are exceeded
	"hel1/bp-valkey":    {"succeeded", truth.Gone},                        // deleted
}

// TestBootstraps_SubscriberSeesEveryStatus replays both recorded bootstraps. No connection breaks, so no status may be missing.
func TestBootstraps_SubscriberSeesEveryStatus(t *testing.T) {
	scenario(t, "both recorded bootstraps at once, every status of every release seen", func(t *testing.T) string {
		s := newStage(t)
		for _, r := range s.both() {
			r.startAdapter().ready()
		}
		over := s.play(15, kits)
		s.until("hel1/bp-loki is suspended", soon, func() bool { return s.meta("hel1/bp-loki")["suspended"] == true })
		over()
		took := s.converge()
		s.checkShown()
		s.complete()
		series, _ := s.subscriber.Shown()
		for id, want := range kitHolds {
			left := want
			for _, status := range series[id] {
				if len(left) > 0 && status == left[0] {
					left = left[1:]
				}
			}
			if len(left) > 0 {
				t.Errorf("%s was shown as %q, without %q in this order", id, series[id], want)
			}
		}
		return "converged " + took.Round(time.Millisecond).String() + " after the last write"
	})
}
