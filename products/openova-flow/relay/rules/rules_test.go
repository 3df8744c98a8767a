package rules_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/relay/rules"
)

const valid = `
server: {url: "https://flow.example.com", tokenFile: /token}
page: https://flow.example.com/
channels:
  team: {slack: {channel: C0123456789, tokenFile: /slack}}
  alerts: {alertmanager: {urls: ["http://a:9093", "http://b:9093"], labels: {team: x}, resend: 30s}}
  hook: {webhook: {url: "https://hook.example.com/x", secretFile: /secret, format: cloudevents}}
  traces: {otel: {url: "http://collector:4317", protocol: grpc}}
  commits: {github: {tokenFile: /github, repositories: [{name: acme/fleet, sources: ["https://github.com/acme/fleet"]}]}}
rules:
  - name: prod
    channels: [team, hook]
    flows: [prod-*]
    regions: [fsn1, hel1]
    kinds: [cause, rollout]
    severity: warning
    after: 90s
    resolveAfter: 0s
    quiet: {from: "22:00", to: "07:00", timezone: Europe/Berlin, days: [mon, fri], critical: true}
`

func parse(t *testing.T, text string) *rules.Config {
	t.Helper()
	c, err := rules.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParse_Valid(t *testing.T) {
	c := parse(t, valid)
	l := c.Rules[0].Limits(c.Page)
	if l.After != 90_000 || l.ResolveAfter != 0 || l.UpdateEvery != 30_000 || l.Severity != notice.Warning || !l.Wake || l.Page != "https://flow.example.com/" {
		t.Errorf("%+v", l)
	}
	if r := c.Rules[0]; !r.ReadsFlow("prod-eu") || r.ReadsFlow("dev") || !r.Reads(notice.KindCause) || r.Reads(notice.KindRegion) {
		t.Errorf("%+v", r)
	}
	if time.Duration(c.Channels["alerts"].Alertmanager.Resend) != 30*time.Second {
		t.Errorf("%+v", c.Channels["alerts"].Alertmanager)
	}
}

func TestParse_NamesTheField(t *testing.T) {
	for _, c := range []struct{ old, new, field string }{
		{"tokenFile: /token", "tokenFle: /token", "server.tokenFle (line 2)"},
		{"secretFile: /secret", "secretFile: /secret, retries: 3", "channels.hook.webhook.retries (line 7)"},
		{"    after: 90s", "    afetr: 90s", "rules[0].afetr (line 17)"},
		{"flows: [prod-*]", "flows: prod-*", "rules[0].flows (line 13)"},
		{"https://flow.example.com\",", "ftp://x\",", "server.url"},
		{"https://flow.example.com\",", "https://u:p@x\",", "server.url"},
		{"page: https://flow.example.com/", "page: https://flow.example.com/?x=1", "page"},
		{"C0123456789", "general", "channels.team.slack.channel"},
		{"tokenFile: /slack", "apiURL: https://slack.com", "channels.team.slack.tokenFile"},
		{"http://b:9093", "b:9093", "channels.alerts.alertmanager.urls[1]"},
		{"format: cloudevents", "format: xml", "channels.hook.webhook.format"},
		{"secretFile: /secret, ", "", "channels.hook.webhook.secretFile"},
		{"slack: {channel", "webhook: {url: \"http://x\", secretFile: /x}, slack: {channel", "channels.team"},
		{"[team, hook]", "[team, hooks]", "rules[0].channels[1]"},
		{"[team, hook]", "[team, hook, team]", "rules[0].channels[2]"},
		{"[prod-*]", "[\"prod-[\"]", "rules[0].flows[0]"},
		{"[cause, rollout]", "[cause, causes]", "rules[0].kinds[1]"},
		{"severity: warning", "severity: bad", "rules[0].severity"},
		{"after: 90s", "after: 90", "line 17"},
		{"after: 90s", "after: -1s", "line 17"},
		{"Europe/Berlin", "Europe/Bonn", "rules[0].quiet.timezone"},
		{"[mon, fri]", "[mon, friday]", "rules[0].quiet.days[1]"},
		{"22:00", "22 h", "rules[0].quiet.from"},
		{"name: prod", "name: pro/d", "rules[0].name"},
		{"  hook: {", "  a/b: {", "channels.a/b"},
		{"collector:4317", "collector:4317/v1/traces", "channels.traces.otel.url"},
		{"protocol: grpc", "protocol: udp", "channels.traces.otel.protocol"},
		{"acme/fleet,", "acme,", "channels.commits.github.repositories[0].name"},
		{"[\"https://github.com/acme/fleet\"]", "[]", "channels.commits.github.repositories[0].sources"},
		{"[team, hook]\n    flows: [prod-*]\n    regions: [fsn1, hel1]", "[commits]\n    flows: [prod-*]", "rules[0].regions"},
		{"[team, hook]", "[commits]", "rules[0].kinds"},
		{"url: \"https://flow.example.com\", tokenFile: /token}\npage: https://flow.example.com/", "url: &u \"https://flow.example.com\", tokenFile: /token}\npage: *u", "page (line 3): aliases"},
	} {
		text := strings.Replace(valid, c.old, c.new, 1)
		if text == valid {
			t.Fatalf("%q is not in the configuration", c.old)
		}
		if _, err := rules.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%s: %v", c.new, err)
		}
	}
	for _, text := range []string{"", "rules: []", "a: &x 1\nb: *x", "[]", "server: {url: \"http://x\"}\nchannels: {}\nrules: []"} {
		if _, err := rules.Parse([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	again := valid + strings.Replace(valid[strings.Index(valid, "  - name"):], "[prod-*]", "[dev]", 1)
	if _, err := rules.Parse([]byte(again)); err == nil || !strings.Contains(err.Error(), "rules[1].name") {
		t.Errorf("%v", err)
	}
}

func TestRead_NamesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if _, err := rules.Read(file); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), file) {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(file, []byte("a: 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rules.Read(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v", err)
	}
}

func TestRule_QuietHoursAreInLocalTime(t *testing.T) {
	c := parse(t, valid)
	quiet := c.Rules[0].Limits("").Quiet
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(day, hour, minute int) int64 { // of March 2026; the 2nd is a Monday
		return time.Date(2026, 3, day, hour, minute, 0, 0, berlin).UnixMilli()
	}
	for _, c := range []struct{ now, end int64 }{
		{at(2, 21, 59), 0}, {at(2, 22, 0), at(3, 7, 0)}, {at(3, 6, 59), at(3, 7, 0)}, {at(3, 7, 0), 0},
		{at(3, 23, 0), 0}, {at(4, 3, 0), 0}, // Tuesday
		{at(6, 23, 0), at(7, 7, 0)}, {at(7, 23, 0), 0},
	} {
		if got := quiet(c.now); got != c.end {
			t.Errorf("at %v until %v, want %v", time.UnixMilli(c.now).In(berlin), got, c.end)
		}
	}
	// The 6th of September has no midnight in Santiago: summer time begins.
	santiago := parse(t, strings.Replace(strings.Replace(valid, "Europe/Berlin", "America/Santiago", 1), "[mon, fri]", "[sun]", 1)).Rules[0].Limits("").Quiet
	if got, want := santiago(time.Date(2026, 9, 7, 2, 0, 0, 0, time.UTC).UnixMilli()), time.Date(2026, 9, 7, 10, 0, 0, 0, time.UTC); got != want.UnixMilli() {
		t.Errorf("%v, want %v", time.UnixMilli(got).UTC(), want)
	}
	// Quiet hours whose from and to are equal last a day.
	whole := parse(t, strings.Replace(valid, `from: "22:00", to: "07:00"`, `from: "07:00", to: "07:00"`, 1)).Rules[0].Limits("").Quiet
	if got := whole(at(2, 12, 0)); got != at(3, 7, 0) {
		t.Errorf("%v", time.UnixMilli(got).In(berlin))
	}
	// The night of the 29th is an hour shorter: summer time begins.
	c.Rules[0].Quiet.Days = []string{"sat"}
	if got := c.Rules[0].Limits("").Quiet(at(29, 1, 0)); got != at(29, 7, 0) {
		t.Errorf("%v", time.UnixMilli(got).In(berlin))
	}
}

func TestRule_RevisionsOnlyByName(t *testing.T) {
	for kinds, want := range map[string]bool{"": false, "kinds: [cause]": false, "kinds: [revision]": true} {
		r := parse(t, strings.Replace(valid, "kinds: [cause, rollout]", kinds, 1)).Rules[0]
		if r.Reads(notice.KindRevision) != want || kinds == "" && !r.Reads(notice.KindRegion) {
			t.Errorf("%q: reads revisions %v", kinds, !want)
		}
	}
}

func TestRule_ReadsRegion(t *testing.T) {
	for regions, want := range map[string]bool{"": true, "regions: [fsn1]": true, "regions: [hel1]": false} {
		r := parse(t, strings.Replace(valid, "regions: [fsn1, hel1]", regions, 1)).Rules[0]
		if r.ReadsRegion("fsn1") != want {
			t.Errorf("%q: reads fsn1 %v", regions, !want)
		}
	}
}

func TestRule_SelectsByKindAndRegion(t *testing.T) {
	r := parse(t, valid).Rules[0]
	member := func(region, status string) notice.Member {
		return notice.Member{ID: region + "/x", Region: region, Status: status}
	}
	got := r.Select([]notice.Notice{
		{Key: "1", Kind: notice.KindCause, Regions: []string{"fsn1"}},
		{Key: "2", Kind: notice.KindCause, Regions: []string{"nbg1"}},
		{Key: "3", Kind: notice.KindRegion, Regions: []string{"fsn1"}},
		{Key: "4", Kind: notice.KindRollout, Regions: []string{"hel1", "nbg1"}, Rollout: &notice.Rollout{Outcome: "running", Total: 3, Done: 2, Failed: 1,
			Members: []notice.Member{member("hel1", "succeeded"), member("nbg1", "succeeded"), member("nbg1", "failed")}}},
	})
	if len(got) != 2 || got[0].Key != "1" || got[1].Key != "4" {
		t.Fatalf("%+v", got)
	}
	if n := got[1]; len(n.Regions) != 1 || n.Rollout.Total != 1 || n.Rollout.Done != 1 || n.Rollout.Failed != 0 {
		t.Errorf("%+v", n.Rollout)
	}
}
