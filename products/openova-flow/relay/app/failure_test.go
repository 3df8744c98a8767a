package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// TestRelay_StoppedAtAnyTimeRepeatsNothing stops the relay every 18 seconds of two bootstraps. The relay stores nothing when it stops.
func TestRelay_StoppedAtAnyTimeRepeatsNothing(t *testing.T) {
	messages := recording(t, "kit-fsn1", "kit-hel1")
	inBubble(t, time.UnixMilli(messages[0].At), func(s *stage) {
		stop := s.relay(everything)
		restarts := 0
		done := make(chan bool)
		go func() {
			defer close(done)
			for range 60 {
				time.Sleep(17 * time.Second)
				stop()
				restarts++
				time.Sleep(time.Second)
				stop = s.relay(everything)
			}
		}()
		s.play(messages)
		<-done
		time.Sleep(5 * time.Minute)
		want := map[string]string{
			"HelmRelease/flux-system/bp-keycloak": "opened resolved", "HelmRelease/flux-system/bp-loki": "opened resolved",
			"HelmRelease/flux-system/bp-powerdns": "opened updated resolved",
		}
		got := phasesByObject(s)
		delete(got, "rollout")
		if !maps.Equal(got, want) {
			t.Errorf("the notices of causes are %v, want %v", got, want)
		}
		ended := make(map[string]int)
		for _, n := range s.hook.Received() {
			if n.Kind == notice.KindRollout && n.Phase == notice.Resolved {
				ended[n.Rollout.ID]++
			}
		}
		if len(ended) != 2 {
			t.Errorf("notices of ended rollouts, by rollout: %v, want 2 rollouts", ended)
		}
		for id, n := range ended {
			if n != 1 {
				t.Errorf("rollout %s ended %d times", id, n)
			}
		}
		if m := s.slack.Messages(); len(m) != 5 || len(s.slack.Replies()) != 5 {
			t.Errorf("Slack has %d messages and %d replies, want 5 of each", len(m), len(s.slack.Replies()))
		}
		if restarts != 60 || s.alerts.Firing() != 0 {
			t.Errorf("%d restarts, %d fire", restarts, s.alerts.Firing())
		}
		for _, a := range s.alerts.Alerts() {
			if a.Firing != 1 {
				t.Errorf("%v began to fire %d times", a.Labels, a.Firing)
			}
		}
	})
}

// failing returns an upsert of a release that has failed since an instant, and that Flux does not repair.
func failing(region, name string, since time.Time, text string) string {
	return fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"%[1]s/%[2]s","flowId":"bootstrap","label":"%[2]s","status":"failed","region":"%[1]s","meta":{"kind":"HelmRelease","judgement":`+
		`{"state":"broken","since":%[3]d,"problem":true,"final":true,"cause":{"class":"install-failed","sentence":%[4]q},"command":["kubectl","-n","x","describe","helmrelease","%[2]s"]}}}]}`,
		region, name, since.UnixMilli(), text)
}

func ready(region, name string) string {
	return fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"%[1]s/%[2]s","flowId":"bootstrap","label":"%[2]s","status":"succeeded","region":"%[1]s","meta":{"kind":"HelmRelease","judgement":{"state":"ready"}}}]}`, region, name)
}

var someDay = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestRelay_RootCauseOfThreeRegionsIsOneNotice(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.relay(everything)
		for _, region := range []string{"fsn1", "hel1", "nbg1"} {
			s.post(failing(region, "db", time.Now(), "db could not be installed."))
			time.Sleep(10 * time.Second)
		}
		time.Sleep(3 * time.Minute)
		var causes []notice.Notice
		for _, n := range s.hook.Received() {
			if n.Kind == notice.KindCause {
				causes = append(causes, n)
			}
		}
		if len(causes) != 1 || causes[0].Phase != notice.Opened || strings.Join(causes[0].Regions, " ") != "fsn1 hel1 nbg1" || causes[0].Severity != notice.Critical ||
			causes[0].Since != someDay.UnixMilli() || len(causes[0].Nodes) != 3 {
			t.Fatalf("notices of causes are %+v, want one, opened, critical, of 3 nodes in fsn1, hel1 and nbg1", causes)
		}
		if want := "https://flow.example.com/?flow=bootstrap&node=fsn1/db&at=2026-03-01T12:01:"; !strings.HasPrefix(causes[0].Link, want) {
			t.Errorf("%s", causes[0].Link)
		}
		s.post(ready("fsn1", "db"))
		time.Sleep(3 * time.Minute)
		if n := s.hook.Received(); n[len(n)-1].Phase != notice.Updated || strings.Join(n[len(n)-1].Regions, " ") != "hel1 nbg1" {
			t.Errorf("%+v", n[len(n)-1])
		}
		s.post(ready("hel1", "db"))
		s.post(ready("nbg1", "db"))
		time.Sleep(3 * time.Minute)
		if n := s.hook.Received(); n[len(n)-1].Phase != notice.Resolved || n[len(n)-1].Episode != causes[0].Episode {
			t.Errorf("%+v", n[len(n)-1])
		}
	})
}

// TestRelay_ProblemBecomesFinal has Flux give up on a release seconds after its problem was opened.
func TestRelay_ProblemBecomesFinal(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.relay(everything)
		final := failing("fsn1", "db", time.Now(), "db could not be installed.")
		s.post(strings.Replace(final, `"final":true`, `"final":false`, 1))
		for i := 0; len(s.hook.Received()) == 0; i++ {
			if i == 600 {
				t.Fatal("no notice within ten minutes")
			}
			time.Sleep(time.Second)
		}
		s.post(final)
		time.Sleep(5 * time.Second)
		got := s.hook.Received()
		if len(got) != 2 || got[0].Severity != notice.Warning || got[1].Phase != notice.Updated || got[1].Severity != notice.Critical {
			t.Errorf("the webhook got %+v, want one opened as warning and one updated to critical", got)
		}
	})
}

func TestRelay_StaleRegion(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.relay(everything)
		claim := func() {
			req, err := http.NewRequest(http.MethodPut, "http://localhost/v1/flows/bootstrap/regions/fsn1", strings.NewReader(`{"cluster":"c1","ttlSeconds":30}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := s.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		s.post(ready("fsn1", "db"))
		claim()
		time.Sleep(20 * time.Second)
		claim()
		time.Sleep(50 * time.Second) // stale for 20 seconds
		claim()
		time.Sleep(5 * time.Minute)
		for range 6 {
			claim()
			time.Sleep(20 * time.Second)
		}
		var got []string
		for _, n := range s.hook.Received() {
			got = append(got, n.Key+" "+string(n.Phase))
		}
		if want := "region/bootstrap/fsn1 opened, region/bootstrap/fsn1 resolved"; strings.Join(got, ", ") != want {
			t.Errorf("%q", got)
		}
	})
}

func TestRelay_DeadChannelDelaysNoOther(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.relay(everything)
		s.hook.SetAway(true)
		s.post(failing("fsn1", "db", time.Now(), "db could not be installed."))
		time.Sleep(90 * time.Second)
		s.post(failing("fsn1", "web", time.Now(), "web could not be installed."))
		time.Sleep(90 * time.Second)
		if len(s.slack.Messages()) != 2 || s.alerts.Firing() != 2 || len(s.hook.Received()) != 0 {
			t.Errorf("slack has %d messages, %d alerts fire, the webhook has %d", len(s.slack.Messages()), s.alerts.Firing(), len(s.hook.Received()))
		}
		s.post(ready("fsn1", "db"))
		time.Sleep(4 * time.Minute)
		s.hook.SetAway(false)
		time.Sleep(6 * time.Minute) // longer than the worker's pause
		var got []string
		for _, n := range s.hook.Received() {
			got = append(got, n.Label+" "+string(n.Phase))
		}
		if want := "db opened, web opened, db resolved"; strings.Join(got, ", ") != want {
			t.Errorf("%q", got)
		}
	})
}

func TestRelay_SlackMessageWithLostAnswerIsFound(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.relay(everything)
		s.slack.LoseAnswers(1)
		s.post(failing("fsn1", "db", time.Now(), "db could not be installed."))
		time.Sleep(3 * time.Minute)
		if m := s.slack.Messages(); len(m) != 1 {
			t.Fatalf("%+v", m)
		}
		s.slack.LoseAnswers(1)
		s.post(ready("fsn1", "db"))
		time.Sleep(3 * time.Minute)
		if m := s.slack.Messages(); len(m) != 1 || len(s.slack.Replies()) != 1 || !strings.Contains(m[0].Text, "resolved") {
			t.Errorf("%+v %+v", m, s.slack.Replies())
		}
	})
}

func TestRelay_EscapesTextsOfClusters(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.relay(everything)
		s.post(failing("fsn1", "db", time.Now(), "<!channel> <https://evil.example|login> & <@U1>"))
		time.Sleep(2 * time.Minute)
		m := s.slack.Messages()
		if len(m) != 1 || !strings.Contains(m[0].Text, "&lt;!channel&gt;") || !strings.Contains(m[0].Body, "<!channel> <https://evil.example|login> & <@U1>") {
			t.Errorf("%+v", m)
		}
	})
}

// TestRelay_FullQueueSendsTheRestLater has more root causes than the queue of a channel takes while its service is away.
func TestRelay_FullQueueSendsTheRestLater(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.queue = 3
		s.relay(everything)
		s.hook.SetAway(true)
		for i := range 3 {
			s.post(failing("fsn1", fmt.Sprint("db", i), time.Now(), "It could not be installed."))
		}
		time.Sleep(2 * time.Minute)
		s.post(failing("fsn1", "late", time.Now(), "It could not be installed."))
		time.Sleep(5 * time.Minute)
		if s.slack.Limited() != 0 || len(s.slack.Messages()) != 4 {
			t.Errorf("%d messages, %d above the limit", len(s.slack.Messages()), s.slack.Limited())
		}
		if !strings.Contains(s.log.String(), "queue full, notices wait") {
			t.Error("the log does not say that the queue is full")
		}
		s.hook.SetAway(false)
		time.Sleep(10 * time.Minute)
		if got := phasesByObject(s); len(got) != 4 || got["HelmRelease/flux-system/late"] != "opened" {
			t.Errorf("%v", got)
		}
	})
}

func TestRelay_AppliesAChangedConfiguration(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.relay("\nrules:\n  - {name: all, channels: [hook], after: 1h}\n")
		s.post(failing("fsn1", "db", time.Now(), "db could not be installed."))
		time.Sleep(5 * time.Minute)
		s.configure("\nrules:\n  - {name: all, channels: [hook], after: soon}\n")
		time.Sleep(time.Minute)
		if n := len(s.hook.Received()); n != 0 || !strings.Contains(s.log.String(), "configuration invalid") {
			t.Errorf("%d notices", n)
		}
		s.configure("\nrules:\n  - {name: all, channels: [hook], after: 30s}\n")
		time.Sleep(time.Minute)
		if n := len(s.hook.Received()); n != 1 {
			t.Errorf("%d notices", n)
		}
	})
}
