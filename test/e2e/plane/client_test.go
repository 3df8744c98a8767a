package plane

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestWatch_FailedResponseIsNoEvent(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"kind":"Status"}`, http.StatusForbidden)
	}))
	defer s.Close()
	c := &Client{base: s.URL, http: &http.Client{Transport: http.DefaultTransport}}
	err := c.Watch(t.Context(), "HelmRelease", func(event []byte) { t.Errorf("event %s", event) })
	if !IsCode(err, http.StatusForbidden) {
		t.Errorf("%v, want status 403", err)
	}
}
