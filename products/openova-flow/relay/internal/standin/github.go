package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// GitHub is the REST API of GitHub with one repository.
type GitHub struct {
	base
	Token string
	Repo  string // owner/name

	mux         *http.ServeMux
	statuses    []CommitStatus
	deployments []*Deployment
	limit       int // requests that are still answered with the secondary rate limit
}

// CommitStatus is a status of a commit.
type CommitStatus struct {
	SHA         string `json:"-"`
	State       string `json:"state"`
	Description string `json:"description"`
	Context     string `json:"context"`
	TargetURL   string `json:"target_url"`
}

// Deployment is a deployment with its states, the newest last.
type Deployment struct {
	ID          int64    `json:"id"`
	SHA         string   `json:"sha"`
	Ref         string   `json:"ref"`
	Task        string   `json:"task"`
	Environment string   `json:"environment"`
	States      []string `json:"-"`
}

var deploymentStates = []string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}

// LimitNext makes GitHub answer the next n requests with its secondary rate limit.
func (s *GitHub) LimitNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = n
}

// ServeHTTP answers the REST API.
func (s *GitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unavailable(w) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+s.Token {
		s.fault("Authorization %q", r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if s.limit > 0 {
		s.limit--
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"message":"You have exceeded a secondary rate limit.","documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`)
		return
	}
	if s.mux == nil {
		s.routes()
	}
	s.mux.ServeHTTP(w, r)
}

func (s *GitHub) routes() {
	s.mux = http.NewServeMux()
	repo := " /repos/" + s.Repo
	answer := func(w http.ResponseWriter, code int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v) // the client is gone
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fault("%s %s", r.Method, r.URL.Path)
		w.WriteHeader(http.StatusNotFound)
	})
	s.mux.HandleFunc("GET"+repo+"/commits/{sha}/statuses", func(w http.ResponseWriter, r *http.Request) {
		found := []CommitStatus{}
		for _, c := range slices.Backward(s.statuses) {
			if c.SHA == r.PathValue("sha") {
				found = append(found, c)
			}
		}
		answer(w, http.StatusOK, found)
	})
	s.mux.HandleFunc("POST"+repo+"/statuses/{sha}", func(w http.ResponseWriter, r *http.Request) {
		c := CommitStatus{SHA: r.PathValue("sha")}
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil || utf8.RuneCountInString(c.Description) > 140 || !slices.Contains([]string{"error", "failure", "pending", "success"}, c.State) || c.Context == "" {
			s.fault("status %+v, %v", c, err)
			answer(w, http.StatusUnprocessableEntity, map[string]string{"message": "Validation Failed"})
			return
		}
		s.statuses = append(s.statuses, c)
		answer(w, http.StatusCreated, c)
	})
	s.mux.HandleFunc("GET"+repo+"/deployments", func(w http.ResponseWriter, r *http.Request) {
		found, q := []*Deployment{}, r.URL.Query()
		for _, d := range slices.Backward(s.deployments) {
			if d.SHA == q.Get("sha") && d.Task == q.Get("task") && d.Environment == q.Get("environment") {
				found = append(found, d)
			}
		}
		answer(w, http.StatusOK, found)
	})
	s.mux.HandleFunc("POST"+repo+"/deployments", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Deployment
			AutoMerge        *bool     `json:"auto_merge"`
			RequiredContexts *[]string `json:"required_contexts"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Ref == "" || in.AutoMerge == nil || *in.AutoMerge || in.RequiredContexts == nil {
			s.fault("deployment %+v, %v", in, err)
		}
		d := in.Deployment
		d.ID, d.SHA = int64(len(s.deployments)+1), d.Ref
		s.deployments = append(s.deployments, &d)
		answer(w, http.StatusCreated, d)
	})
	deploymentOf := func(r *http.Request) *Deployment {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || id < 1 || id > len(s.deployments) {
			s.fault("%s", r.URL.Path)
			return &Deployment{}
		}
		return s.deployments[id-1]
	}
	s.mux.HandleFunc("GET"+repo+"/deployments/{id}/statuses", func(w http.ResponseWriter, r *http.Request) {
		found := []map[string]any{}
		for _, state := range slices.Backward(deploymentOf(r).States) {
			found = append(found, map[string]any{"state": state})
		}
		answer(w, http.StatusOK, found)
	})
	s.mux.HandleFunc("POST"+repo+"/deployments/{id}/statuses", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ State, Description string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || utf8.RuneCountInString(in.Description) > 140 || !slices.Contains(deploymentStates, in.State) {
			s.fault("deployment status %+v, %v", in, err)
		}
		d := deploymentOf(r)
		d.States = append(d.States, in.State)
		answer(w, http.StatusCreated, map[string]any{"state": in.State, "created_at": time.Now().UTC().Format(time.RFC3339)})
	})
}

// Statuses returns the statuses of all commits, in order.
func (s *GitHub) Statuses() []CommitStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.statuses)
}

// Deployments returns the deployments, in order.
func (s *GitHub) Deployments() (all []Deployment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.deployments {
		one := *d
		one.States = slices.Clone(d.States)
		all = append(all, one)
	}
	return all
}
