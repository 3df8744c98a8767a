package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Slack is the Web API of a workspace with one channel.
type Slack struct {
	base
	Token, Channel string

	lose     int // posts whose answer is still to be lost
	messages []*Message
	last     time.Time // of the last post
	limited  int       // requests above the rate limit
}

// Message is a message of the channel.
type Message struct {
	TS       string
	Thread   string // TS of the message that it replies to
	Text     string
	Body     string // the texts of the blocks
	Emoji    string // the first one
	Metadata json.RawMessage
	Edits    int
}

var mention = regexp.MustCompile(`<[!@#]|<https?:`)

// ServeHTTP answers a method of the Web API.
func (s *Slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unavailable(w) {
		return
	}
	method := strings.TrimPrefix(r.URL.Path, "/api/")
	if r.Header.Get("Authorization") != "Bearer "+s.Token {
		s.answer(w, map[string]any{"ok": false, "error": "invalid_auth"})
		return
	}
	switch method {
	case "chat.postMessage", "chat.update":
		s.write(w, r, method)
	case "conversations.history", "conversations.replies":
		if err := r.ParseForm(); err != nil || r.Form.Get("channel") != s.Channel || r.Form.Get("include_all_metadata") != "true" {
			s.fault("%s: %v %v", method, r.Form, err)
		}
		s.list(w, r, method)
	default:
		s.fault("method %s", method)
		s.answer(w, map[string]any{"ok": false, "error": "unknown_method"})
	}
}

func (s *Slack) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone
}

func (s *Slack) write(w http.ResponseWriter, r *http.Request, method string) {
	var in struct {
		Channel, TS, Text, Parse string
		Thread                   string `json:"thread_ts"`
		LinkNames                bool   `json:"link_names"`
		Blocks                   []any
		Metadata                 json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Channel != s.Channel || in.Text == "" {
		s.fault("%s: %+v %v", method, in, err)
		s.answer(w, map[string]any{"ok": false, "error": "invalid_arguments"})
		return
	}
	if len(in.Text) > 4000 || len(in.Metadata) > 8000 || len(in.Blocks) > 50 || mention.MatchString(in.Text) || in.Parse != "none" || in.LinkNames {
		s.fault("%s: text %q, parse %q", method, in.Text, in.Parse)
	}
	if hasEmptyText(in.Blocks) {
		s.fault("%s: empty text in a block", method)
		s.answer(w, map[string]any{"ok": false, "error": "invalid_blocks"})
		return
	}
	m := Message{TS: in.TS, Thread: in.Thread, Text: in.Text, Body: texts(in.Blocks), Emoji: emoji(in.Blocks), Metadata: in.Metadata}
	if method == "chat.update" {
		for _, old := range s.messages {
			if old.TS == in.TS {
				m.Edits, m.Thread = old.Edits+1, old.Thread
				*old = m
				s.answer(w, map[string]any{"ok": true, "ts": m.TS})
				return
			}
		}
		s.answer(w, map[string]any{"ok": false, "error": "message_not_found"})
		return
	}
	now := time.Now()
	if now.Sub(s.last) < time.Second { // about one message a second for each channel
		s.limited++
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		s.answer(w, map[string]any{"ok": false, "error": "ratelimited"})
		return
	}
	s.last = now
	m.TS = fmt.Sprintf("%d.%06d", now.Unix(), len(s.messages)+1)
	s.messages = append(s.messages, &m)
	if s.lose > 0 {
		s.lose--
		panic(http.ErrAbortHandler)
	}
	s.answer(w, map[string]any{"ok": true, "ts": m.TS})
}

// list answers with the messages of the channel, or with one and its replies, the newest first.
func (s *Slack) list(w http.ResponseWriter, r *http.Request, method string) {
	oldest, _ := strconv.ParseFloat(r.Form.Get("oldest"), 64) // absent: all
	found := []map[string]any{}
	for i := len(s.messages) - 1; i >= 0; i-- {
		m := s.messages[i]
		ts, _ := strconv.ParseFloat(m.TS, 64)
		inThread := m.Thread != "" && m.Thread == r.Form.Get("ts") || m.TS == r.Form.Get("ts")
		if (method == "conversations.history" && m.Thread == "" || method == "conversations.replies" && inThread) && ts >= oldest {
			found = append(found, map[string]any{"ts": m.TS, "text": m.Text, "metadata": m.Metadata})
		}
	}
	start, _ := strconv.Atoi(r.Form.Get("cursor"))
	limit, _ := strconv.Atoi(r.Form.Get("limit"))
	end, next := min(start+limit, len(found)), ""
	if end < len(found) {
		next = strconv.Itoa(end)
	}
	s.answer(w, map[string]any{"ok": true, "messages": found[min(start, end):end], "response_metadata": map[string]any{"next_cursor": next}})
}

func texts(v any) string {
	switch v := v.(type) {
	case []any:
		var b strings.Builder
		for _, item := range v {
			b.WriteString(texts(item))
		}
		return b.String()
	case map[string]any:
		if text, ok := v["text"].(string); ok {
			return text
		}
		return texts(v["elements"])
	}
	return ""
}

func hasEmptyText(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, hasEmptyText)
	case map[string]any:
		return v["type"] == "text" && v["text"] == "" || hasEmptyText(v["elements"])
	}
	return false
}

func emoji(v any) string {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if name := emoji(item); name != "" {
				return name
			}
		}
	case map[string]any:
		if name, ok := v["name"].(string); ok && v["type"] == "emoji" {
			return name
		}
		return emoji(v["elements"])
	}
	return ""
}

// LoseAnswers makes Slack post the next n messages and close the connection without an answer.
func (s *Slack) LoseAnswers(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = n
}

// Delete deletes all messages.
func (s *Slack) Delete() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = nil
}

// Messages returns the messages of the channel, in order, without replies.
func (s *Slack) Messages() []Message { return s.filter(false) }

// Replies returns the replies, in order.
func (s *Slack) Replies() []Message { return s.filter(true) }

func (s *Slack) filter(replies bool) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Message
	for _, m := range s.messages {
		if (m.Thread != "") == replies {
			all = append(all, *m)
		}
	}
	return all
}

// Limited returns how many requests were above the rate limit.
func (s *Slack) Limited() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limited
}
