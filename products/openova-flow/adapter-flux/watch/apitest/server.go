// Package apitest is an in-memory API server for tests: discovery, get, list, watch, create and update over HTTP/2 and TLS, with the faults of a real
// API server on demand. The predefined answers have the bytes of kube-apiserver 1.36.
package apitest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// Server is an API server on a loopback port. It is safe for concurrent use.
type Server struct {
	http *httptest.Server

	mu        sync.Mutex
	version   int
	compacted int                                    // versions before this one were compacted
	served    map[schema.GroupVersionResource]string // kinds by resource
	objects   map[string]map[string]any              // by path
	log       []event
	faults    []*fault
	requests  []string      // method, path and query of each request
	changed   chan struct{} // closed with each change
	cut       chan struct{} // closed to break the watches in the middle of an event
	end       chan struct{} // closed to end the watches regularly

	// NoStreamedLists makes the Server answer a watch with sendInitialEvents like a server that does not support it. Set it before the first request.
	NoStreamedLists bool

	ahead atomic.Int64 // how far its clock is ahead, nanoseconds
}

type event struct {
	version    int
	collection string // path of the collection of all namespaces
	namespace  string
	typ        string
	object     map[string]any
}

type fault struct {
	matches func(*http.Request) bool
	left    int
	answer  Answer
}

// Answer is an answer that replaces the regular one.
type Answer struct {
	Never      bool // there is no answer
	Status     int
	PlainText  bool
	RetryAfter string
	Body       string
}

// New starts a Server that serves leases and namespaces. Namespace kube-system has the UID. Close it.
func New(uid string) *Server {
	s := &Server{
		version: 1000, served: map[schema.GroupVersionResource]string{}, objects: map[string]map[string]any{},
		changed: make(chan struct{}), cut: make(chan struct{}), end: make(chan struct{}),
	}
	s.served[schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}] = "Namespace"
	s.served[schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}] = "Lease"
	s.objects["/api/v1/namespaces/kube-system"] = map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "kube-system", "uid": uid, "resourceVersion": "1"},
	}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.http.EnableHTTP2 = true
	s.http.StartTLS()
	return s
}

// Close stops the Server and its connections.
func (s *Server) Close() {
	s.Cut()
	s.http.CloseClientConnections()
	s.http.Close()
}

// URL returns the server's URL.
func (s *Server) URL() string { return s.http.URL }

// SetClock sets how far the server's clock is ahead of this machine's.
func (s *Server) SetClock(ahead time.Duration) { s.ahead.Store(int64(ahead)) }

func (s *Server) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())).UTC() }

// CA returns the server's certificate as PEM.
func (s *Server) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
}

// Client returns a client that trusts the server.
func (s *Server) Client() *http.Client { return s.http.Client() }

// Config returns a client configuration without a rate limit.
func (s *Server) Config() *rest.Config {
	return &rest.Config{Host: s.http.URL, TLSClientConfig: rest.TLSClientConfig{CAData: s.CA()}, QPS: -1}
}

// Serve installs a kind.
func (s *Server) Serve(r schema.GroupVersionResource, kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served[r] = kind
}

// Put stores an object with the next version and sends it to the watches.
func (s *Server) Put(r schema.GroupVersionResource, object map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(r, object)
}

func (s *Server) put(r schema.GroupVersionResource, object map[string]any) map[string]any {
	object = clone(object)
	m := object["metadata"].(map[string]any)
	ns, _ := m["namespace"].(string)
	path := collection(r, ns) + "/" + m["name"].(string)
	typ := "ADDED"
	if _, exists := s.objects[path]; exists {
		typ = "MODIFIED"
	}
	s.version++
	m["resourceVersion"] = strconv.Itoa(s.version)
	s.objects[path] = object
	s.publish(event{s.version, collection(r, ""), ns, typ, object})
	return object
}

// Delete removes an object. It sends the deletion to the watches. With quiet it instead compacts all versions so far, so that only a new
// list shows the deletion.
func (s *Server) Delete(r schema.GroupVersionResource, namespace, name string, quiet bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := collection(r, namespace) + "/" + name
	object := clone(s.objects[path])
	delete(s.objects, path)
	s.version++
	object["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(s.version)
	if quiet {
		s.compacted = s.version
		return
	}
	s.publish(event{s.version, collection(r, ""), namespace, "DELETED", object})
}

// publish appends an event to the log and wakes the watches. s.mu is held.
func (s *Server) publish(e event) {
	s.log = append(s.log, e)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Fail gives the answer to the next matching requests: to as many as times says or, if times is -1, to all until stop is called.
func (s *Server) Fail(times int, a Answer, matches func(*http.Request) bool) (stop func()) {
	f := &fault{matches, times, a}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		f.left = 0
	}
}

// Cut breaks every running watch in the middle of an event.
func (s *Server) Cut() { s.finish(&s.cut) }

// End ends every running watch as a server does at its timeout: with a bookmark and without an error.
func (s *Server) End() { s.finish(&s.end) }

func (s *Server) finish(c *chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(*c)
	*c = make(chan struct{})
}

// Compact compacts all versions so far: a new watch from one of them gets a 410 in an error event. Running watches are not affected.
func (s *Server) Compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.compacted = s.version
}

// Requests returns the number of requests with all parts in their method, path and query.
func (s *Server) Requests(parts ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(r, p) }) {
			n++
		}
	}
	return n
}

func clone(object map[string]any) map[string]any {
	b, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	return out
}

func collection(r schema.GroupVersionResource, namespace string) string {
	path := "/apis/" + r.Group + "/" + r.Version
	if r.Group == "" {
		path = "/api/" + r.Version
	}
	if namespace != "" {
		path += "/namespaces/" + namespace
	}
	return path + "/" + r.Resource
}

// Forbidden returns the answer to a request without permission.
func Forbidden(verb, resource, group, scope string) Answer {
	return Answer{Status: 403, Body: fmt.Sprintf(`{
  "kind": "Status",
  "apiVersion": "v1",
  "metadata": {},
  "status": "Failure",
  "message": "%[2]s.%[3]s is forbidden: User \"viewer\" cannot %[1]s resource \"%[2]s\" in API group \"%[3]s\" %[4]s",
  "reason": "Forbidden",
  "details": {
    "group": "%[3]s",
    "kind": "%[2]s"
  },
  "code": 403
}`, verb, resource, group, scope)}
}

// Other faulty answers.
var (
	Unauthorized = Answer{Status: 401, Body: `{
  "kind": "Status",
  "apiVersion": "v1",
  "metadata": {},
  "status": "Failure",
  "message": "Unauthorized",
  "reason": "Unauthorized",
  "code": 401
}`}
	NotFound     = Answer{Status: 404, PlainText: true, Body: "404 page not found\n"}
	Initializing = Answer{Status: 429, RetryAfter: "1", Body: `{
  "kind": "Status",
  "apiVersion": "v1",
  "metadata": {},
  "status": "Failure",
  "message": "storage is (re)initializing",
  "reason": "TooManyRequests",
  "details": {
    "retryAfterSeconds": 1
  },
  "code": 429
}`}
	ListExpired = Answer{Status: 410, Body: `{
  "kind": "Status",
  "apiVersion": "v1",
  "metadata": {},
  "status": "Failure",
  "message": "The resourceVersion for the provided list is too old.",
  "reason": "Expired",
  "code": 410
}`}
	watchListUnknown = Answer{Status: 422, Body: `{
  "kind": "Status",
  "apiVersion": "v1",
  "metadata": {},
  "status": "Failure",
  "message": "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
  "reason": "Invalid",
  "details": {
    "group": "meta.k8s.io",
    "kind": "ListOptions",
    "causes": [
      {
        "reason": "FieldValueForbidden",
        "message": "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
        "field": "sendInitialEvents"
      }
    ]
  },
  "code": 422
}`}
)

// Version returns the newest resource version.
func (s *Server) Version() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strconv.Itoa(s.version)
}
