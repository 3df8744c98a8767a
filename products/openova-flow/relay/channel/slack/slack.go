// Package slack delivers notices to a channel of Slack: one message for each subject. It edits the message when the subject changes, and replies in its thread
// when the edit says that the subject is resolved.
package slack

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
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
	// maxPages bounds the search for an earlier message. A page has 100 messages.
	maxPages = 10
)

// Sender is a channel.Sender.
type Sender struct {
	Channel string // its id
	Token   channel.Secret
	API     string // base URL; default DefaultAPI
	Client  *http.Client

	next time.Time // when another message may be posted: Slack takes one a second for a channel
}

// metadata is the part of a message by which the relay finds it again.
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

// answer has the fields that are used, of the answers of all methods.
type answer struct {
	OK       bool      `json:"ok"`
	Error    string    `json:"error"`
	Needed   string    `json:"needed"` // scopes, with the error missing_scope
	TS       string    `json:"ts"`
	Messages []earlier `json:"messages"`
	Meta     struct {
		Cursor string `json:"next_cursor"`
	} `json:"response_metadata"`
}

// earlier is a message in the channel or in a thread.
type earlier struct {
	TS       string    `json:"ts"`
	Metadata *metadata `json:"metadata"`
}

// Send implements channel.Sender. Slack has no idempotency key, so a repetition looks for the message that an earlier attempt may have posted.
func (s *Sender) Send(ctx context.Context, d channel.Delivery, m channel.Memory) error {
	ts := string(m.Get())
	var err error
	if ts == "" && d.Repeat {
		if ts, err = s.find(ctx, "conversations.history", "", map[string]string{"subject": d.Subject()}, d.Notice.Since); err != nil {
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

// reply replies to a message that its subject is resolved: Slack notifies nobody of an edit.
func (s *Sender) reply(ctx context.Context, d *channel.Delivery, ts string) error {
	own := map[string]string{"reply": d.ID()} // not the key "id", which the message itself has: Slack lists it with its replies
	if d.Repeat {
		found, err := s.find(ctx, "conversations.replies", ts, own, 0)
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

// find returns the ts of the message whose metadata has the values, empty if it finds none. It searches the thread of a message, or the channel if thread is
// empty. since is Unix milliseconds; 0: no limit.
func (s *Sender) find(ctx context.Context, method, thread string, values map[string]string, since int64) (string, error) {
	form := url.Values{"channel": {s.Channel}, "limit": {"100"}, "include_all_metadata": {"true"}}
	if thread != "" {
		form.Set("ts", thread)
	}
	if since > 0 {
		form.Set("oldest", strconv.FormatInt(since/1000-60, 10))
	}
	for range maxPages {
		a, err := s.callForm(ctx, method, form)
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
		if a.Meta.Cursor == "" {
			break
		}
		form.Set("cursor", a.Meta.Cursor)
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
type apiError struct{ code, needed string }

func (e *apiError) Error() string {
	text := fmt.Sprintf("slack answers %.100q", e.code)
	switch e.code {
	case "missing_scope":
		return fmt.Sprintf("%s: add the scope %.100q to the app, and install it again", text, e.needed)
	case "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type":
		return text + ": tokenFile needs a valid bot token"
	case "not_in_channel":
		return text + ": invite the app to the channel"
	case "channel_not_found", "is_archived":
		return text + ": check channel, which is an id such as C0123456789, and that the app is in it"
	}
	return text
}

// gone reports whether err says that a message cannot be edited any more.
func gone(err error) bool {
	e, ok := err.(*apiError)
	return ok && slices.Contains([]string{"message_not_found", "cant_update_message", "edit_window_closed"}, e.code)
}

// permanentErrors are the errors for a message that Slack never accepts. After any other error, a later attempt may succeed.
var permanentErrors = []string{"msg_too_long", "no_text", "invalid_blocks", "invalid_blocks_format", "invalid_metadata_format", "metadata_too_large", "invalid_arguments", "invalid_json"}

func (s *Sender) call(ctx context.Context, method string, m message) (*answer, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, &channel.Permanent{Err: err}
	}
	return s.do(ctx, method, "application/json; charset=utf-8", body)
}

// callForm calls a method of the Web API that takes no JSON.
func (s *Sender) callForm(ctx context.Context, method string, form url.Values) (*answer, error) {
	return s.do(ctx, method, "application/x-www-form-urlencoded", []byte(form.Encode()))
}

func (s *Sender) do(ctx context.Context, method, contentType string, body []byte) (*answer, error) {
	token, err := s.Token.Read()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(cmp.Or(s.API, DefaultAPI), "/")+"/"+method, nil)
	if err != nil {
		return nil, &channel.Permanent{Err: err}
	}
	req.Header.Set("Content-Type", contentType)
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
		err := &apiError{a.Error, a.Needed}
		if slices.Contains(permanentErrors, a.Error) {
			return nil, &channel.Permanent{Err: err}
		}
		return nil, err
	}
	return &a, nil
}
