// Package webhook delivers notices to any HTTP server, as JSON or as CloudEvents, signed according to Standard Webhooks.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// Sender is a channel.Sender.
type Sender struct {
	URL         string
	Secret      channel.Secret // the key of the signature; whsec_… is base64
	Token       channel.Secret // a bearer token, optional
	CloudEvents bool           // the binary content mode of the CloudEvents HTTP binding
	Client      *http.Client
}

// Body is the JSON of a delivery; with CloudEvents it is the data.
type Body struct {
	ID     string        `json:"id"`
	Rule   string        `json:"rule"`
	Title  string        `json:"title"`
	Status string        `json:"status"`
	Notice notice.Notice `json:"notice"`
}

// Send implements channel.Sender. A server recognizes a repetition by the header webhook-id.
func (s *Sender) Send(ctx context.Context, d channel.Delivery, _ channel.Memory) error {
	n := &d.Notice
	body, err := json.Marshal(Body{ID: d.ID(), Rule: d.Rule, Title: n.Title(), Status: n.Status(), Notice: *n})
	if err != nil {
		return &channel.Permanent{Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, nil)
	if err != nil {
		return &channel.Permanent{Err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	if err := s.sign(req.Header, "msg_"+idOf(&d), time.Now(), body); err != nil {
		return err
	}
	if s.CloudEvents {
		s.event(req.Header, &d)
	}
	_, err = channel.Post(s.Client, req, body)
	return err
}

// idOf returns a hash of the id of a delivery: the id may have characters that a header cannot have.
func idOf(d *channel.Delivery) string {
	sum := sha256.Sum256([]byte(d.ID()))
	return hex.EncodeToString(sum[:16])
}

// sign sets the headers of Standard Webhooks, and Authorization if there is a bearer token.
func (s *Sender) sign(h http.Header, id string, now time.Time, body []byte) error {
	secret, err := s.Secret.Read()
	if err != nil {
		return err
	}
	key := []byte(secret)
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return fmt.Errorf("read the secret %s: after whsec_ it must be base64: %w", string(s.Secret), err)
		}
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", stamp)
	h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	token, err := s.Token.Read()
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	return err
}

func (s *Sender) event(h http.Header, d *channel.Delivery) {
	n := &d.Notice
	h.Set("ce-specversion", "1.0")
	h.Set("ce-id", idOf(d))
	h.Set("ce-source", "/openova-flow-relay/"+d.Rule)
	h.Set("ce-type", "io.openova.flow."+string(n.Kind)+"."+string(n.Phase))
	h.Set("ce-subject", escape(n.Key))
	h.Set("ce-time", time.UnixMilli(n.At).UTC().Format(time.RFC3339Nano))
}

// escape encodes an attribute for a header as the HTTP binding of CloudEvents says.
func escape(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
