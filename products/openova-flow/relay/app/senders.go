package app

import (
	"cmp"
	"net/http"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/channel/alertmanager"
	"github.com/openova-io/openova/products/openova-flow/relay/channel/github"
	"github.com/openova-io/openova/products/openova-flow/relay/channel/otel"
	"github.com/openova-io/openova/products/openova-flow/relay/channel/slack"
	"github.com/openova-io/openova/products/openova-flow/relay/channel/webhook"
	"github.com/openova-io/openova/products/openova-flow/relay/rules"
)

// newSender returns the sender of a channel. c must be valid: exactly one field is set.
func newSender(c rules.Channel, client *http.Client) channel.Sender {
	switch {
	case c.Slack != nil:
		return &slack.Sender{Channel: c.Slack.Channel, Token: channel.Secret(c.Slack.TokenFile), API: c.Slack.APIURL, Client: client}
	case c.Otel != nil:
		return &otel.Sender{URL: c.Otel.URL, Protocol: cmp.Or(c.Otel.Protocol, otel.GRPC), Token: channel.Secret(c.Otel.TokenFile), Client: client}
	case c.GitHub != nil:
		g := c.GitHub
		s := &github.Sender{API: g.APIURL, Token: channel.Secret(g.TokenFile), Context: g.Context, Client: client}
		for _, r := range g.Repositories {
			s.Repositories = append(s.Repositories, github.Repository{Name: r.Name, Sources: r.Sources})
		}
		return s
	case c.Alertmanager != nil:
		return &alertmanager.Sender{URLs: c.Alertmanager.URLs, Labels: c.Alertmanager.Labels, Token: channel.Secret(c.Alertmanager.TokenFile),
			Resend: time.Duration(c.Alertmanager.Resend), Client: client}
	}
	w := c.Webhook
	return &webhook.Sender{URL: w.URL, Secret: channel.Secret(w.SecretFile), Token: channel.Secret(w.TokenFile), CloudEvents: w.Format == "cloudevents", Client: client}
}
