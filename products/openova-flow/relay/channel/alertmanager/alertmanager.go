// Package alertmanager delivers notices to Alertmanager through its API v2. It ignores rollouts and revisions, which are not alerts.
package alertmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// maxValue is the limit, in bytes, of a label or an annotation that is made of a notice.
const maxValue = 4096

// DefaultResend is how often an open alert is sent again.
const DefaultResend = time.Minute

// Sender is a channel.Sender, a channel.Refresher and a channel.Chooser.
type Sender struct {
	URLs   []string          // of the members of one cluster; each gets every alert
	Labels map[string]string // added to every alert
	Token  channel.Secret    // a bearer token, optional
	Resend time.Duration     // how often an open alert is sent again; default DefaultResend
	Client *http.Client
}

var alertNames = map[notice.Kind]string{notice.KindCause: "OpenovaFlowRootCause", notice.KindSource: "OpenovaFlowSourceFailing", notice.KindRegion: "OpenovaFlowRegionStale"}

// alert is a postableAlert of the API.
type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// Takes implements channel.Chooser.
func (s *Sender) Takes(kind notice.Kind) bool { return alertNames[kind] != "" }

// Send implements channel.Sender. Labels identify an alert, so a repetition makes no second one.
func (s *Sender) Send(ctx context.Context, d channel.Delivery, m channel.Memory) error {
	n := &d.Notice
	if !s.Takes(n.Kind) {
		return nil
	}
	now := s.alertOf(n)
	alerts := []alert{now}
	var before alert
	if kept := m.Get(); kept != nil {
		if err := json.Unmarshal(kept, &before); err != nil {
			return &channel.Permanent{Err: fmt.Errorf("read the alert that was sent: %w", err)}
		}
	}
	if before.Labels != nil && !maps.Equal(before.Labels, now.Labels) { // for Alertmanager these are two alerts
		before.EndsAt = time.UnixMilli(n.At)
		alerts = []alert{before, now}
	}
	if n.Phase != notice.Resolved {
		alerts[len(alerts)-1].EndsAt = s.expiry()
	}
	if err := s.post(ctx, alerts); err != nil {
		return err
	}
	if n.Phase == notice.Resolved { // the outbox deletes the memory of the subject
		return nil
	}
	kept, err := json.Marshal(now)
	if err != nil {
		return &channel.Permanent{Err: err}
	}
	return m.Set(kept)
}

// alertOf returns the alert of a notice. Labels identify and route an alert; values that change often are annotations.
func (s *Sender) alertOf(n *notice.Notice) alert {
	a := alert{Labels: maps.Clone(s.Labels), Annotations: make(map[string]string), StartsAt: time.UnixMilli(n.Since), EndsAt: time.UnixMilli(max(n.Until, n.Since)), GeneratorURL: n.Link}
	if a.Labels == nil {
		a.Labels = make(map[string]string)
	}
	set := func(in map[string]string, name, value string) {
		if value != "" {
			in[name] = terminal.Text(value, maxValue)
		}
	}
	set(a.Labels, "alertname", alertNames[n.Kind])
	set(a.Labels, "severity", string(n.Severity))
	set(a.Labels, "flow", strings.Join(n.Flows, ","))
	set(a.Labels, "region", strings.Join(n.Regions, ","))
	set(a.Labels, "object", n.Object)
	set(a.Annotations, "summary", n.Title())
	set(a.Annotations, "description", n.Sentence)
	set(a.Annotations, "class", n.Class)
	for _, f := range n.Facts() {
		name := strings.ToLower(f.Name)
		if strings.HasPrefix(name, "blocks") {
			name = "blocks"
		}
		set(a.Annotations, name, f.Value)
	}
	return a
}

// expiry is when Alertmanager resolves an alert that is not sent again.
func (s *Sender) expiry() time.Time { return time.Now().Add(4 * s.Every()) }

// Every implements channel.Refresher.
func (s *Sender) Every() time.Duration {
	if s.Resend == 0 {
		return DefaultResend
	}
	return s.Resend
}

// Refresh implements channel.Refresher.
func (s *Sender) Refresh(ctx context.Context, all map[string][]byte) error {
	alerts := make([]alert, 0, len(all))
	for _, subject := range slices.Sorted(maps.Keys(all)) {
		var a alert
		if err := json.Unmarshal(all[subject], &a); err != nil {
			return fmt.Errorf("read the alert that was sent: %w", err)
		}
		a.EndsAt = s.expiry()
		alerts = append(alerts, a)
	}
	return s.post(ctx, alerts)
}

// post sends alerts to all members. It succeeds if one has accepted them: the others get open alerts with the next Refresh, and resolve the rest at their expiry.
func (s *Sender) post(ctx context.Context, alerts []alert) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return &channel.Permanent{Err: err}
	}
	token, err := s.Token.Read()
	if err != nil {
		return err
	}
	var errs []error
	for _, url := range s.URLs {
		errs = append(errs, s.postTo(ctx, url, token, body))
	}
	if slices.Contains(errs, nil) {
		return nil
	}
	if slices.ContainsFunc(errs, func(err error) bool { return !channel.IsPermanent(err) }) { // this member may accept them later
		for i, err := range errs {
			if channel.IsPermanent(err) {
				errs[i] = errors.New(err.Error())
			}
		}
	}
	return errors.Join(errs...)
}

func (s *Sender) postTo(ctx context.Context, url, token string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(url, "/")+"/api/v2/alerts", nil)
	if err != nil {
		return &channel.Permanent{Err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	_, err = channel.Post(s.Client, req, body)
	return err
}
