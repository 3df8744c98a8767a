package alerts

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// target are the labels that Prometheus adds to what it scrapes, from a ServiceMonitor.
var target = []string{"job", "openova-flow-server", "instance", "10.0.0.1:8080", "namespace", "openova-flow", "pod", "openova-flow-server-0"}

// served is what Prometheus has stored after it scraped a server twice.
type served struct {
	storage *teststorage.TestStorage
	at      time.Time                  // of the last scrape
	labels  map[string]map[string]bool // names of the labels of each metric
}

// scraped returns two scrapes of a server with a flow in which enough is wrong, for long enough, that the expressions of all alerts are true and all queries
// of the dashboard have a result.
func scraped(t *testing.T) *served {
	t.Helper()
	s := &served{storage: teststorage.New(t), labels: make(map[string]map[string]bool)}
	var texts [2]string
	var at [2]time.Time
	synctest.Test(t, func(t *testing.T) {
		api := httpapi.New(hub.New(hub.Config{}), httpapi.Config{Logger: slog.New(slog.DiscardHandler), StreamMode: httpapi.StreamPortable})
		send := func(method, path, body string, code int) string {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.RemoteAddr = "127.0.0.1:1"
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			if w.Code != code {
				t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
			return w.Body.String()
		}
		post := func(nodes ...string) {
			send("POST", "/v1/flows/prod/events", `{"type":"upsert-nodes","nodes":[`+strings.Join(nodes, ",")+`]}`, 200)
		}
		send("PUT", "/v1/flows/prod/regions/hel1", `{"cluster":"two","ttlSeconds":15}`, 200)
		began := time.Now().UnixMilli()
		post(node("fsn1/web", "succeeded", 0, `{"kind":"HelmRelease"}`))
		post(node("fsn1/web", "running", began, `{"kind":"HelmRelease","judgement":{"state":"working","gate":"wait","since":`+fmt.Sprint(began)+`}}`))
		time.Sleep(time.Minute)
		post(node("fsn1/web", "failed", began, `{"kind":"HelmRelease","judgement":{"state":"broken","problem":true,"final":true,"since":`+fmt.Sprint(began)+`,"cause":{"class":"install-failed"}}}`),
			node("fsn1/retries", "failed", 0, `{"kind":"HelmRelease","judgement":{"state":"broken","problem":true,"since":`+fmt.Sprint(began)+`,"marks":["drift","source-stale"],"cause":{"class":"upgrade-failed"}}}`),
			node("fsn1/waits", "pending", 0, `{"kind":"HelmRelease","judgement":{"state":"waiting","gate":"wait","needs":["fsn1/web"]}}`),
			node("fsn1/off", "pending", 0, `{"kind":"HelmRelease","judgement":{"state":"suspended","gate":"pass","marks":["suspended"],"since":`+fmt.Sprint(began)+`}}`),
			// Its name is beyond the limit of a label.
			node("fsn1/"+strings.Repeat("x", 300), "pending", 0, `{"kind":"HelmRelease","judgement":{"state":"suspended","gate":"pass"}}`),
			node("fsn1/GitRepository/a/repo", "succeeded", 0, `{"kind":"GitRepository","namespace":"a","auxiliary":true,"ready":"True","url":"https://git.example.com/o/r",
				"ref":"branch main","revision":"main@sha1:`+strings.Repeat("b", 40)+`","updatedAt":`+fmt.Sprint(began)+`}`),
			node("fsn1/Kustomization/a/apps", "succeeded", 0, `{"kind":"Kustomization","namespace":"a","revision":"main@sha1:`+strings.Repeat("a", 40)+`",
				"source":{"kind":"GitRepository","namespace":"a","name":"repo"}}`))
		time.Sleep(5 * time.Minute) // the rollout has failed
		later := time.Now().UnixMilli()
		post(node("fsn1/slow", "succeeded", 0, `{"kind":"HelmRelease"}`))
		post(node("fsn1/slow", "running", later, `{"kind":"HelmRelease","judgement":{"state":"working","gate":"wait","since":`+fmt.Sprint(later)+`,"marks":["overdue"]}}`))
		time.Sleep(8 * 24 * time.Hour)
		send("POST", "/v1/flows/prod/events", `{"type":"upsert-nodes"}`, 400)
		for i := range texts {
			time.Sleep(30 * time.Second)
			post(node("fsn1/other", "succeeded", 0, fmt.Sprintf(`{"n":%d}`, i)))
			texts[i], at[i] = send("GET", "/metrics", "", 200), time.Now()
		}
	})
	for i, text := range texts {
		s.add(t, text, at[i])
	}
	s.at = at[1]
	return s
}

// node returns a node of flow prod; its region is the first part of its id.
func node(id, status string, began int64, meta string) string {
	region, _, _ := strings.Cut(id, "/")
	started := ""
	if began != 0 {
		started = fmt.Sprintf(`"startedAt":%d,`, began)
	}
	return strings.Join(strings.Fields(fmt.Sprintf(`{"id":%q,"flowId":"prod","label":%q,"region":%q,"status":%q,%s"meta":%s}`, id, id, region, status, started, meta)), " ")
}

// add stores the samples of a scrape with the labels of the target.
func (s *served) add(t *testing.T, text string, at time.Time) {
	t.Helper()
	app := s.storage.Appender(t.Context())
	p := textparse.NewPromParser([]byte(text), labels.NewSymbolTable(), false)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var own labels.Labels
		p.Labels(&own)
		b := labels.NewBuilder(own)
		for i := 0; i < len(target); i += 2 {
			b.Set(target[i], target[i+1])
		}
		all := b.Labels()
		_, _, value := p.Series()
		if _, err := app.Append(0, all, at.UnixMilli(), value); err != nil {
			t.Fatal(all, err)
		}
		name := all.Get(model.MetricNameLabel)
		if s.labels[name] == nil {
			s.labels[name] = make(map[string]bool)
		}
		all.Range(func(l labels.Label) { s.labels[name][l.Name] = true })
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}
