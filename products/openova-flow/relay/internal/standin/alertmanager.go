package standin

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// Alertmanager takes alerts by API v2.
type Alertmanager struct {
	base

	alerts map[string]*Alert
	order  []string
}

// Alert is an alert, known by its labels.
type Alert struct {
	Labels       map[string]string
	Annotations  map[string]string
	StartsAt     time.Time
	EndsAt       time.Time
	GeneratorURL string

	Posts  int // how often it was posted
	Firing int // how often it began to fire
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// ServeHTTP takes alerts.
func (s *Alertmanager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unavailable(w) {
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/api/v2/alerts" || r.Header.Get("Content-Type") != "application/json" {
		s.fault("%s %s %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var all []Alert
	if err := json.NewDecoder(r.Body).Decode(&all); err != nil {
		s.fault("body: %v", err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	now := time.Now()
	for _, a := range all {
		if a.Labels["alertname"] == "" || a.StartsAt.IsZero() || a.EndsAt.Before(a.StartsAt) {
			s.fault("alert %v", a)
		}
		for name, value := range a.Labels {
			if !labelName.MatchString(name) || value == "" {
				s.fault("label %q=%q", name, value)
			}
		}
		key := fingerprint(a.Labels)
		was := s.alerts[key]
		if was == nil {
			if s.alerts == nil {
				s.alerts = make(map[string]*Alert)
			}
			was = &Alert{}
			s.alerts[key] = was
			s.order = append(s.order, key)
		}
		if a.EndsAt.After(now) && !was.EndsAt.After(now) {
			was.Firing++
		}
		a.Posts, a.Firing = was.Posts+1, was.Firing
		*was = a
	}
}

func fingerprint(labels map[string]string) (key string) {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		key += name + "=" + labels[name] + "\n"
	}
	return key
}

// Alerts returns all alerts that ever came, in the order in which they came first.
func (s *Alertmanager) Alerts() []Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Alert, 0, len(s.order))
	for _, key := range s.order {
		all = append(all, *s.alerts[key])
	}
	return all
}

// Firing returns how many alerts fire now.
func (s *Alertmanager) Firing() (n int) {
	for _, a := range s.Alerts() {
		if a.EndsAt.After(time.Now()) {
			n++
		}
	}
	return n
}
