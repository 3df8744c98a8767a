package channel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// maxAnswer is the maximum number of bytes of a response that Guard reads.
const maxAnswer = 4 << 20

// NewClient returns a client for a service, with Guard. It follows no redirects: they could send a credential to another host.
func NewClient() *http.Client {
	client := NewStreamClient()
	client.Transport, client.Timeout = Guard(client.Transport), 30*time.Second
	return client
}

// NewStreamClient is NewClient without Guard and without a limit for how long a response lasts.
func NewStreamClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 20 * time.Second
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Guard returns a transport that cuts the body of a response at maxAnswer, and redacts the credential of the request in body and status: they get into
// errors, and errors into logs.
func Guard(next http.RoundTripper) http.RoundTripper { return guard{next} }

type guard struct{ next http.RoundTripper }

func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	body, resp.Status = []byte(Redact(req, string(body))), Redact(req, resp.Status)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// Redact replaces the credential of a request in a text by [credential].
func Redact(req *http.Request, text string) string {
	if _, token, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok && token != "" {
		return strings.ReplaceAll(text, token, "[credential]")
	}
	return text
}

// Secret is the path of a file with a credential. The file is read for each use, so that it can be replaced.
type Secret string

// Read returns the content of the file without the white space around it, or an empty string if s has no path.
func (s Secret) Read() (string, error) {
	if s == "" {
		return "", nil
	}
	text, err := os.ReadFile(string(s))
	if err != nil {
		return "", fmt.Errorf("read the credential: %w", err)
	}
	value := strings.TrimSpace(string(text))
	if value == "" || strings.ContainsAny(value, "\r\n") {
		return "", fmt.Errorf("read the credential: %s must have one line", string(s))
	}
	return value, nil
}

// Post sends a request and returns the body of a response with status 2xx. For errors of other statuses, see Classify.
func Post(client *http.Client, req *http.Request, body []byte) ([]byte, error) {
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.ContentLength = int64(len(body))
	resp, err := client.Do(req)
	if u := new(url.Error); errors.As(err, &u) { // its text has the URL, which may contain a credential
		return nil, fmt.Errorf("post to %s: %w", req.URL.Host, u.Err)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if resp.StatusCode/100 == 2 {
		return answer, err
	}
	err = fmt.Errorf("%s answers %s: %s", req.URL.Host, terminal.Text(resp.Status, 64), terminal.Text(string(answer[:min(300, len(answer))]), 300))
	return nil, Classify(resp, err)
}

// Classify wraps the error of a response that is not 2xx: *Busy for 429 and 503 if RetryAfter is above 0; else err itself, which means that another try may
// succeed, for 401, 403, 408, 429 and 5xx; *Permanent for all others. 401 and 403 may succeed later, because credentials are replaced without a restart.
func Classify(resp *http.Response, err error) error {
	code := resp.StatusCode
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		if after := RetryAfter(resp.Header); after > 0 {
			return &Busy{After: after, Err: err}
		}
		return err
	}
	if code/100 == 5 || code == http.StatusRequestTimeout || code == http.StatusUnauthorized || code == http.StatusForbidden {
		return err
	}
	return &Permanent{err}
}

// RetryAfter returns the delay that the header Retry-After names, in seconds or as a date; 0 if it is absent, invalid or has passed.
func RetryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 1e9)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
