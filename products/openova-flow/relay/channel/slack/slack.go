// Package slack delivers notices to a channel of Slack: one message for each subject, edited when it changes, with a reply in its thread when it is resolved.
package slack

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

const (
	// DefaultAPI is Slack's API.
	DefaultAPI = "https://slack.com/api/"
	// eventType marks the messages of a relay in their metadata.
	eventType = "openova_flow_notice"
	// maxPages bounds the search for an earlier message, of 100 messages each.
	maxPages = 10
)

// Sender is a channel.Sender.
type Sender struct {
	Channel string // its id
	Token   channel.Secret
	API     string // DefaultAPI if empty
	Client  *http.Client

	next time.Time // when another message may be posted: Slack takes one a second for a channel
}

// metadata is what a message carries for the relay to find it again.
type metadata struct {
	EventType string            `json:"event_type"`
	Payload   map[string]string `json:"event_payload"`
}

// message is a request to post or to edit.
type message struct {
	Channel     string    `json:"channel"`
	TS          string    `json:"ts,omitempty"`        // of the message to edit
	Thread      string    `json:"thread_ts,omitempty"` // of the message to reply to
	Text        string    `json:"text"`                // for notifications
	Blocks      []any     `json:"blocks,omitempty"`
	Metadata    *metadata `json:"metadata"`
	Parse       string    `json:"parse"` // none: names and addresses in the text are not made links
	LinkNames   bool      `json:"link_names"`
	UnfurlLinks bool      `json:"unfurl_links"`
	UnfurlMedia bool      `json:"unfurl_media"`
}

// answer is what all methods answer with.
type answer struct {
	OK       bool      `json:"ok"`
	Error    string    `json:"error"`
	TS       string    `json:"ts"`
	Messages []earlier `json:"messages"`
	Meta     struct {
		Cursor string `json:"next_cursor"`
	} `json:"response_metadata"`
}

type earlier struct {
	TS       string    `json:"ts"`
	Metadata *metadata `json:"metadata"`
}

// Send implements channel.Sender. Slack has no idempotency key, so a repetition looks for the message that it may have posted.
func (s *Sender) Send(ctx context.Context, d channel.Delivery, m channel.Memory) error {
	ts := string(m.Get())
	var err error
	if ts == "" && d.Repeat {
		if ts, err = s.find(ctx, "conversations.history", map[string]string{"subject": d.Subject()}, nil, d.Notice.Since); err != nil {
			return err
		}
		if ts != "" {
			if err := m.Set([]byte(ts)); err != nil {
				return err
			}
		}
	}
	msg := s.message(&d)
	if ts == "" {
		ts, err := s.post(ctx, msg)
		if err != nil {
			return err
		}
		return m.Set([]byte(ts))
	}
	edit := msg
	edit.TS = ts
	_, err = s.call(ctx, "chat.update", edit)
	if gone(err) {
		if err := m.Set(nil); err != nil {
			return err
		}
		ts, err := s.post(ctx, msg)
		if err != nil {
			return err
		}
		return m.Set([]byte(ts))
	}
	if err != nil || d.Notice.Phase != notice.Resolved {
		return err
	}
	return s.reply(ctx, &d, ts)
}

// reply replies to a message that its subject is over: an edit notifies nobody.
func (s *Sender) reply(ctx context.Context, d *channel.Delivery, ts string) error {
	own := map[string]string{"reply": d.ID()} // not id: the message that it replies to has that and is listed too
	if d.Repeat {
		found, err := s.find(ctx, "conversations.replies", own, map[string]string{"ts": ts}, 0)
		if err != nil || found != "" {
			return err
		}
	}
	text := d.Notice.Status()
	for _, f := range d.Notice.Facts() {
		if f.Name == "Took" {
			text += ", took " + f.Value
		}
	}
	_, err := s.post(ctx, message{Channel: s.Channel, Thread: ts, Text: escape(text), Metadata: &metadata{eventType, own}, Parse: "none"})
	return err
}

// find returns the ts of the message whose metadata has some values, empty if there is none. since is Unix milliseconds.
func (s *Sender) find(ctx context.Context, method string, values, query map[string]string, since int64) (string, error) {
	cursor := ""
	for range maxPages {
		form := map[string]string{"channel": s.Channel, "limit": "100", "include_all_metadata": "true", "cursor": cursor}
		if since > 0 {
			form["oldest"] = strconv.FormatInt(since/1000-60, 10)
		}
		for key, value := range query {
			form[key] = value
		}
		a, err := s.get(ctx, method, form)
		if err != nil {
			return "", err
		}
		at := slices.IndexFunc(a.Messages, func(e earlier) bool {
			if e.Metadata == nil || e.Metadata.EventType != eventType {
				return false
			}
			for key, value := range values {
				if e.Metadata.Payload[key] != value {
					return false
				}
			}
			return true
		})
		if at >= 0 {
			return a.Messages[at].TS, nil
		}
		if cursor = a.Meta.Cursor; cursor == "" {
			break
		}
	}
	return "", nil
}

// post posts a message, not sooner than Slack's limit allows, and returns its ts.
func (s *Sender) post(ctx context.Context, m message) (string, error) {
	if wait := time.Until(s.next); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-timer.C:
		}
	}
	a, err := s.call(ctx, "chat.postMessage", m)
	s.next = time.Now().Add(time.Second)
	if err != nil {
		return "", err
	}
	return a.TS, nil
}

// apiError is an answer with ok false.
type apiError struct{ code string }

func (e *apiError) Error() string { return fmt.Sprintf("slack answers %.100q", e.code) }

// gone reports whether a message can't be edited any more.
func gone(err error) bool {
	e, ok := err.(*apiError)
	return ok && slices.Contains([]string{"message_not_found", "cant_update_message", "edit_window_closed"}, e.code)
}

// permanentErrors are the errors of a message that Slack never takes. All others may be repaired in Slack or in the files of the relay.
var permanentErrors = []string{"msg_too_long", "no_text", "invalid_blocks", "invalid_blocks_format", "invalid_metadata_format", "metadata_too_large", "invalid_arguments", "invalid_json"}

func (s *Sender) call(ctx context.Context, method string, m message) (*answer, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, &channel.Permanent{Err: err}
	}
	return s.do(ctx, http.MethodPost, method, "application/json; charset=utf-8", body)
}

func (s *Sender) get(ctx context.Context, method string, form map[string]string) (*answer, error) {
	req := make([]string, 0, len(form))
	for key, value := range form {
		if value != "" {
			req = append(req, key+"="+queryEscape(value))
		}
	}
	slices.Sort(req)
	return s.do(ctx, http.MethodPost, method, "application/x-www-form-urlencoded", []byte(strings.Join(req, "&")))
}

func (s *Sender) do(ctx context.Context, verb, method, kind string, body []byte) (*answer, error) {
	token, err := s.Token.Read()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, verb, strings.TrimSuffix(cmp.Or(s.API, DefaultAPI), "/")+"/"+method, nil)
	if err != nil {
		return nil, &channel.Permanent{Err: err}
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Authorization", "Bearer "+token)
	text, err := channel.Post(s.Client, req, body)
	if err != nil {
		return nil, err
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("read the answer of slack: %w", err)
	}
	if !a.OK {
		if err := error(&apiError{a.Error}); !slices.Contains(permanentErrors, a.Error) {
			return nil, err
		}
		return nil, &channel.Permanent{Err: &apiError{a.Error}}
	}
	return &a, nil
}
