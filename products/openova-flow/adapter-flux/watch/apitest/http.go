package apitest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.now().Format(http.TimeFormat))
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.String())
	for _, f := range s.faults {
		if f.left != 0 && f.matches(r) {
			f.left--
			s.mu.Unlock()
			if f.answer.Never {
				<-r.Context().Done()
				return
			}
			answer(w, f.answer)
			return
		}
	}
	p, ok := parse(r.URL.Path)
	_, served := s.served[p.resource]
	s.mu.Unlock()
	if ok && served {
		s.resource(w, r, p)
	} else {
		s.discovery(w, r)
	}
}

func answer(w http.ResponseWriter, a Answer) {
	w.Header().Set("Content-Type", "application/json")
	if a.PlainText {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	if a.RetryAfter != "" {
		w.Header().Set("Retry-After", a.RetryAfter)
	}
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body)
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// resourcePath is the parsed path of a resource, or of a collection if name is empty.
type resourcePath struct {
	resource        schema.GroupVersionResource
	namespace, name string
}

// parse parses the path of a resource; ok is false for any other path.
func parse(path string) (p resourcePath, ok bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		p.resource.Version, parts = parts[1], parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		p.resource.Group, p.resource.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return p, false
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		p.namespace, parts = parts[1], parts[2:]
	}
	p.resource.Resource = parts[0]
	if len(parts) > 1 {
		p.name = parts[1]
	}
	return p, true
}

func (s *Server) discovery(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var versions, resources []any
	for _, gvr := range slices.SortedFunc(maps.Keys(s.served), func(a, b schema.GroupVersionResource) int {
		return strings.Compare(a.String(), b.String())
	}) {
		if len(parts) < 2 || gvr.Group != parts[1] {
			continue
		}
		v := map[string]any{"groupVersion": gvr.GroupVersion().String(), "version": gvr.Version}
		versions = append(versions, v)
		if len(parts) == 3 && gvr.Version == parts[2] {
			resources = append(resources, map[string]any{"name": gvr.Resource, "kind": s.served[gvr], "namespaced": true, "verbs": []string{"get", "list", "watch"}})
		}
	}
	switch {
	case parts[0] == "apis" && len(parts) == 2 && versions != nil:
		reply(w, map[string]any{"kind": "APIGroup", "apiVersion": "v1", "name": parts[1], "versions": versions, "preferredVersion": versions[0]})
	case parts[0] == "apis" && len(parts) == 3 && resources != nil:
		reply(w, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": parts[1] + "/" + parts[2], "resources": resources})
	default:
		answer(w, NotFound)
	}
}

func (s *Server) resource(w http.ResponseWriter, r *http.Request, p resourcePath) {
	switch {
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r, p)
	case r.Method == http.MethodGet && p.name == "":
		s.list(w, p)
	case r.Method == http.MethodGet:
		s.mu.Lock()
		object, exists := s.objects[collection(p.resource, p.namespace)+"/"+p.name]
		s.mu.Unlock()
		if !exists {
			status(w, 404, "NotFound", p)
			return
		}
		reply(w, object)
	default:
		s.write(w, r, p)
	}
}

// write creates (POST) or updates (PUT). An update of a version other than the newest is a conflict.
func (s *Server) write(w http.ResponseWriter, r *http.Request, p resourcePath) {
	var object map[string]any
	if err := json.NewDecoder(r.Body).Decode(&object); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := object["metadata"].(map[string]any)
	now, exists := s.objects[collection(p.resource, p.namespace)+"/"+m["name"].(string)]
	switch {
	case r.Method == http.MethodPost && exists:
		status(w, 409, "AlreadyExists", p)
	case r.Method == http.MethodPost:
		m["creationTimestamp"] = s.now().Format(time.RFC3339)
		reply(w, s.put(p.resource, object))
	case !exists:
		status(w, 404, "NotFound", p)
	case now["metadata"].(map[string]any)["resourceVersion"] != m["resourceVersion"]:
		status(w, 409, "Conflict", p)
	default:
		reply(w, s.put(p.resource, object))
	}
}

func status(w http.ResponseWriter, code int, reason string, p resourcePath) {
	answer(w, Answer{Status: code, Body: fmt.Sprintf(
		`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"%s \"%s\": %s","reason":%q,"details":{"name":%q,"kind":%q},"code":%d}`,
		p.resource.GroupResource(), p.name, reason, reason, p.name, p.resource.Resource, code)})
}

func (s *Server) list(w http.ResponseWriter, p resourcePath) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := s.served[p.resource]
	items := []any{}
	for _, object := range s.within(p) {
		items = append(items, object)
	}
	reply(w, map[string]any{
		"apiVersion": p.resource.GroupVersion().String(), "kind": kind + "List",
		"metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version)}, "items": items,
	})
}

// within returns the objects of a collection, ordered by path.
func (s *Server) within(p resourcePath) []map[string]any {
	var found []map[string]any
	for _, path := range slices.Sorted(maps.Keys(s.objects)) {
		if at, _ := parse(path); at.resource == p.resource && (p.namespace == "" || at.namespace == p.namespace) {
			found = append(found, s.objects[path])
		}
	}
	return found
}

func (s *Server) watch(w http.ResponseWriter, r *http.Request, p resourcePath) {
	query := r.URL.Query()
	initial := query.Get("sendInitialEvents") == "true"
	if initial && s.NoStreamedLists {
		answer(w, watchListUnknown)
		return
	}
	out := json.NewEncoder(w)
	w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(w)
	send := func(typ string, object any) { _ = out.Encode(map[string]any{"type": typ, "object": object}) }

	s.mu.Lock()
	cut, end := s.cut, s.end
	from, _ := strconv.Atoi(query.Get("resourceVersion"))
	if initial || from == 0 {
		for _, object := range s.within(p) {
			send("ADDED", object)
		}
		from = s.version
		if initial {
			send("BOOKMARK", s.bookmark(p, from, map[string]any{"k8s.io/initial-events-end": "true"}))
		}
	} else if from < s.compacted {
		message := fmt.Sprintf("too old resource version: %d (%d)", from, s.compacted)
		s.mu.Unlock()
		_, _ = io.WriteString(w, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"`+message+`","reason":"Expired","code":410}}`+"\n")
		return
	}
	s.mu.Unlock()
	for {
		s.mu.Lock()
		for _, e := range s.log {
			if e.version > from && e.collection == collection(p.resource, "") && (p.namespace == "" || p.namespace == e.namespace) {
				send(e.typ, e.object)
			}
		}
		from = max(from, s.version)
		changed := s.changed
		s.mu.Unlock()
		_ = flush.Flush()
		select {
		case <-changed:
		case <-end:
			s.mu.Lock()
			defer s.mu.Unlock()
			send("BOOKMARK", s.bookmark(p, from, nil)) // the next watch gets later changes
			return
		case <-cut:
			_, _ = io.WriteString(w, `{"type":"MODIFIED","object":{"apiVersion":"`)
			_ = flush.Flush()
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			return
		}
	}
}

func (s *Server) bookmark(p resourcePath, version int, annotations map[string]any) map[string]any {
	m := map[string]any{"resourceVersion": strconv.Itoa(version)}
	if annotations != nil {
		m["annotations"] = annotations
	}
	return map[string]any{"apiVersion": p.resource.GroupVersion().String(), "kind": s.served[p.resource], "metadata": m}
}
