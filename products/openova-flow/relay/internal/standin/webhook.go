package standin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// Webhook is a receiver of Standard Webhooks.
type Webhook struct {
	base
	Secret string // the key of the signature
	Token  string // required bearer token; empty: none

	seen     map[string]bool
	received []notice.Notice
	repeated int
}

// tolerance is the maximum difference between webhook-timestamp and the current time.
const tolerance = 5 * time.Minute

// ServeHTTP receives a delivery.
func (s *Webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unavailable(w) {
		return
	}
	if err != nil || r.Method != http.MethodPost {
		s.fault("%s, %v", r.Method, err)
	}
	id, stamp := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if age := time.Since(time.Unix(seconds, 0)); err != nil || age > tolerance || age < -tolerance {
		s.fault("webhook-timestamp %q", stamp)
	}
	mac := hmac.New(sha256.New, []byte(s.Secret))
	mac.Write([]byte(id + "." + stamp + "." + string(body)))
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if id == "" || !hmac.Equal([]byte(r.Header.Get("webhook-signature")), []byte(want)) {
		s.fault("webhook-signature of %q", id)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if s.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.Token {
		s.fault("Authorization %q", r.Header.Get("Authorization"))
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		s.fault("Content-Type %q", r.Header.Get("Content-Type"))
	}
	if s.seen[id] {
		s.repeated++
		return
	}
	var got struct {
		ID     string
		Notice notice.Notice
	}
	if err := json.Unmarshal(body, &got); err != nil || got.ID == "" || got.Notice.Key == "" {
		s.fault("body %s: %v", body, err)
	}
	if s.seen == nil {
		s.seen = make(map[string]bool)
	}
	s.seen[id] = true
	s.received = append(s.received, got.Notice)
}

// Received returns the received notices, each once, in order.
func (s *Webhook) Received() []notice.Notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]notice.Notice(nil), s.received...)
}

// Repeated returns the number of repeated deliveries.
func (s *Webhook) Repeated() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repeated
}
