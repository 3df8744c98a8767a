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

// answerHeaders are the headers of upstream's answer that the caller gets.
var answerHeaders = []string{"Content-Type", "Content-Length", "Etag", "Cache-Control", "Flow-Incarnation", "Retry-After", "Allow", "X-Accel-Buffering",
	"X-Content-Type-Options", "Referrer-Policy", "Content-Security-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy"}

// answerError is an answer of upstream that must not reach the caller.
type answerError struct{ status int }

func (e answerError) Error() string {
	return fmt.Sprintf("the flow server answered %d %s", e.status, http.StatusText(e.status))
}

// listed is the key of a context value of requests for the list: a function that reports whether a flow may be listed.
type listed struct{}

const maxList = 64 << 20 // bytes of the list of all flows

// filterList removes the flows that may not be listed from the list.
func filterList(resp *http.Response, may func(flowID string) bool) error {
	resp.Header.Del("Content-Length") // shows the size of the whole list, also in the answer to HEAD
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

// checkAnswer removes all headers from an answer that are not in answerHeaders, and filters the list of flows. It returns an error for an answer that must
// not reach the caller, such as a denial of the service's own credentials, or a page of a gateway in front of the flow server.
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

// fail answers a request for which upstream has no answer, or one that must not reach the caller.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the caller has disconnected, or the service is closing
	}
	h.cfg.Logger.Warn("request to the flow server failed", "path", r.URL.Path, "err", err)
	var timeout net.Error
	var answer answerError
	if errors.As(err, &timeout) && timeout.Timeout() || errors.As(err, &answer) && answer.status == http.StatusGatewayTimeout {
		writeProblem(w, http.StatusGatewayTimeout, "the flow server did not answer in time")
		return
	}
	writeProblem(w, http.StatusBadGateway, "the flow server is unreachable or sent an invalid answer")
}

// refuse answers a request that Authorize or AuthorizeList denied.
func refuse(w http.ResponseWriter, resource string, err error) {
	what, unknown := "this flow", "unknown flow"
	switch resource {
	case "list":
		what, unknown = "the list of flows", "unknown path"
	case "streams":
		what = "these flows"
	}
	switch {
	case errors.Is(err, ErrUnauthenticated):
		writeProblem(w, http.StatusUnauthorized, "sign in to access "+what)
	case errors.Is(err, ErrNotFound):
		writeProblem(w, http.StatusNotFound, unknown)
	default:
		writeProblem(w, http.StatusForbidden, "you may not do this with "+what)
	}
}

func writeProblem(w http.ResponseWriter, status int, detail string) {
	web.Secure(w.Header())
	web.Problem{Status: status, Detail: detail}.Write(w)
}

// buffers is a pool of buffers for copying answers. A stream uses one as long as it is open.
type buffers struct{ free sync.Pool }

const bufferBytes = 4 << 10

func (b *buffers) Get() []byte {
	if buf, ok := b.free.Get().(*[bufferBytes]byte); ok {
		return buf[:]
	}
	return make([]byte, bufferBytes)
}

func (b *buffers) Put(buf []byte) { b.free.Put((*[bufferBytes]byte)(buf)) }

// answerWriter disconnects a caller that reads nothing for the timeout, since it would keep a connection to upstream. Between writes there is no deadline:
// over HTTP/2 it would end the answer even if nothing is being written. Errors of setting it are ignored, since writers of tests and of some middleware
// have no deadlines.
type answerWriter struct {
	http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
}

// WriteHeader drops informational answers, whose headers checkAnswer does not see.
func (w *answerWriter) WriteHeader(code int) {
	if code >= 200 {
		w.ResponseWriter.WriteHeader(code)
	}
}

func (w *answerWriter) Write(b []byte) (int, error) {
	w.begin()
	defer w.end()
	return w.ResponseWriter.Write(b)
}

// FlushError is called by http.ResponseController.
func (w *answerWriter) FlushError() error {
	w.begin()
	defer w.end()
	return w.rc.Flush()
}

func (w *answerWriter) begin() { _ = w.rc.SetWriteDeadline(time.Now().Add(w.timeout)) }

func (w *answerWriter) end() { _ = w.rc.SetWriteDeadline(time.Time{}) }
