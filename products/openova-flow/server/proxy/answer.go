package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/internal/web"
)

// answerHeaders is all that comes back from upstream.
var answerHeaders = []string{"Content-Type", "Content-Length", "Etag", "Cache-Control", "Flow-Incarnation", "Retry-After", "Allow", "X-Accel-Buffering",
	"X-Content-Type-Options", "Referrer-Policy", "Content-Security-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy"}

// answerError is an answer of upstream that is not for the caller.
type answerError struct{ status int }

func (e answerError) Error() string {
	return fmt.Sprintf("the flow server answered %d %s", e.status, http.StatusText(e.status))
}

// listed is the key of the context value that says of a flow whether it may be listed, where the list is asked for.
type listed struct{}

const maxList = 64 << 20 // bytes of the list of all flows

// filterList leaves in the list of flows those that may be listed.
func filterList(resp *http.Response, may func(flowID string) bool) error {
	resp.Header.Del("Content-Length") // which tells of the others, to HEAD too
	resp.ContentLength = -1
	if resp.Request.Method == http.MethodHead {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxList+1))
	_ = resp.Body.Close()
	if err != nil {
		return fmt.Errorf("read the list of flows: %w", err)
	}
	if len(body) > maxList {
		return fmt.Errorf("the list of flows has more than %d bytes", maxList)
	}
	list := struct {
		Flows []json.RawMessage `json:"flows"`
	}{[]json.RawMessage{}}
	if err := json.Unmarshal(body, &list); err != nil {
		return fmt.Errorf("read the list of flows: %w", err)
	}
	list.Flows = slices.DeleteFunc(list.Flows, func(entry json.RawMessage) bool {
		var flow struct {
			ID string `json:"id"`
		}
		return json.Unmarshal(entry, &flow) != nil || !may(flow.ID)
	})
	if body, err = json.Marshal(list); err != nil {
		return fmt.Errorf("write the list of flows: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// checkAnswer lets pass what the API answers. A refusal of the service's own credentials is not the caller's business, and a page
// of something between here and the flow server is nobody's.
func checkAnswer(resp *http.Response) error {
	code := resp.StatusCode
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	ours := code == http.StatusOK || code == http.StatusNotModified || code >= 400 && media == "application/problem+json"
	if !ours || code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusProxyAuthRequired {
		return answerError{code}
	}
	kept := http.Header{}
	for _, name := range answerHeaders {
		if values := resp.Header.Values(name); len(values) > 0 {
			kept[name] = values
		}
	}
	resp.Header, resp.Trailer = kept, nil
	if may, ok := resp.Request.Context().Value(listed{}).(func(string) bool); ok && code == http.StatusOK {
		return filterList(resp, may)
	}
	return nil
}

// fail answers for an upstream that did not.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the caller has gone, or the service is closing
	}
	h.cfg.Logger.Warn("flow server did not answer", "path", r.URL.Path, "err", err)
	var timeout net.Error
	var answer answerError
	if errors.As(err, &timeout) && timeout.Timeout() || errors.As(err, &answer) && answer.status == http.StatusGatewayTimeout {
		writeProblem(w, http.StatusGatewayTimeout, "the flow server did not answer in time")
		return
	}
	writeProblem(w, http.StatusBadGateway, "the flow server can't be reached or gave an answer that can't be passed on")
}

// refuse answers for an Authorize that said no.
func refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrUnauthenticated):
		writeProblem(w, http.StatusUnauthorized, "sign in to see this flow")
	case errors.Is(err, ErrNotFound):
		writeProblem(w, http.StatusNotFound, "there is no such flow")
	default:
		writeProblem(w, http.StatusForbidden, "you may not do this with this flow")
	}
}

func writeProblem(w http.ResponseWriter, status int, detail string) {
	web.Secure(w.Header())
	web.Problem{Status: status, Detail: detail}.Write(w)
}

// buffers are what answers are copied through. A stream has one for as long as it is open.
type buffers struct{ free sync.Pool }

const bufferBytes = 4 << 10

func (b *buffers) Get() []byte {
	if buf, ok := b.free.Get().(*[bufferBytes]byte); ok {
		return buf[:]
	}
	return make([]byte, bufferBytes)
}

func (b *buffers) Put(buf []byte) { b.free.Put((*[bufferBytes]byte)(buf)) }

// deadlineWriter cuts a caller that takes no bytes, which would hold up what upstream sends.
type deadlineWriter struct {
	http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
}

func (w *deadlineWriter) Write(b []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(b)
}

// FlushError is what http.ResponseController calls.
func (w *deadlineWriter) FlushError() error {
	w.extend()
	return w.rc.Flush()
}

// A writer without deadlines, as tests and some middleware have, works as well as it can.
func (w *deadlineWriter) extend() { _ = w.rc.SetWriteDeadline(time.Now().Add(w.timeout)) }

func (w *deadlineWriter) clear() { _ = w.rc.SetWriteDeadline(time.Time{}) }
