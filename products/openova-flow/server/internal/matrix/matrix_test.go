package matrix

import (
	"bytes"
	"flag"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"testing"
)

var full = flag.Bool("full", false, "send every request of the matrix")

// Without -full, one in share requests is sent, always the same ones. Most requests are answered 401 or 405; of these, one in 8×share is sent.
const share = 8

// report collects the findings of a run of the matrix.
type report struct {
	mu         sync.Mutex
	sent       int
	statuses   map[int]int
	denials    int      // counted in the logs
	mismatches []string // answers of another class than the oracle's, or with a fault
	leaks      []string // answers and logs with strings that the caller may not see
	changes    []string // forbidden changes of flows
}

func (r *report) add(list *[]string, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*list = append(*list, fmt.Sprintf(format, args...))
}

// show reports the findings as test errors.
func (r *report) show(t *testing.T) {
	t.Helper()
	for what, list := range map[string][]string{"mismatches": r.mismatches, "leaks": r.leaks, "forbidden changes": r.changes} {
		for _, line := range list[:min(len(list), 20)] {
			t.Errorf("%s: %s", what, line)
		}
		if len(list) > 0 {
			t.Errorf("%d %s", len(list), what)
		}
	}
}

// world has two servers for a part of the matrix: one trusts the test's address as a proxy's, the other one does not.
type world struct {
	trusting, distrusting *server
	report                *report
}

func newWorld(t testing.TB, r *report, change func(string, object)) *world {
	return &world{trusting: start(t, "127.0.0.1", change), distrusting: start(t, "10.9.8.7", change), report: r}
}

// sendAll sends cells one after the other.
func (w *world) sendAll(cells []*request) {
	since := 0 // cells since the last check of the flows
	check := func(last *request) {
		w.checkUnchanged(w.trusting, "one of the %d requests up to %s", since, last.name)
		w.checkUnchanged(w.distrusting, "one of the %d requests up to %s", since, last.name)
		since = 0
	}
	for _, q := range cells {
		s := w.trusting
		if q.credential.untrusted {
			s = w.distrusting
		}
		if w.send(s, q) {
			continue
		}
		if since++; since == 100 {
			check(q)
		}
	}
	if since > 0 {
		check(cells[len(cells)-1])
	}
	w.searchLog(w.trusting)
	w.searchLog(w.distrusting)
}

// checkUnchanged reports flows that have changed though none of the requests may change them.
func (w *world) checkUnchanged(s *server, format string, args ...any) {
	if list := s.changed(); list != nil {
		w.report.add(&w.report.changes, "%v changed by "+format, append([]any{list}, args...)...)
	}
}

// send sends one cell and checks the answer. It reports whether it has planted the flow again, since the request may have changed it.
func (w *world) send(s *server, q *request) (again bool) {
	header, body := q.header(), q.body()
	a := s.send(q.method, q.target(), header, body)
	w.report.mu.Lock()
	w.report.sent++
	w.report.statuses[a.status]++
	w.report.mu.Unlock()
	want := expect(q)
	if want&classOf(a.status) == 0 {
		w.report.add(&w.report.mismatches, "%s: %d, want %v: %.200q", q.name, a.status, want, a.body)
	}
	for _, fault := range faults(q, a) {
		w.report.add(&w.report.mismatches, "%s: %d: %s", q.name, a.status, fault)
	}
	for _, leak := range leaks(s, q, a, q.target()+strings.Join(header, "\n")+body) {
		w.report.add(&w.report.leaks, "%s: %d has %s", q.name, a.status, leak)
	}
	if a.status >= 300 && a.status != 409 || !q.mayChange() { // a denied claim, 409, shows in the flow's regions
		return false
	}
	caller := q.credential.as
	switch {
	case a.status < 300 && want&done == 0:
		w.checkUnchanged(s, "%s", q.name)
	case a.status < 300 && caller.regions != nil && !caller.may("admin", q.flow):
		w.checkForeign(s, q, caller)
	}
	s.plant(q.flow)
	return true
}

// checkForeign checks that a bound caller's write has not changed foreign elements, nor the flow's status if a foreign element decides it.
func (w *world) checkForeign(s *server, q *request, caller *principal) {
	foreign, status := s.foreignElements(caller, q.flow)
	var want []string
	if exists(q.flow) {
		want = s.plantedForeign(caller, q.flow)
		if status != "failed" && !caller.owns("hel1/failed") {
			w.report.add(&w.report.changes, "%s: the flow's status is %s though a release of another region has failed", q.name, status)
		}
	}
	if !slices.Equal(foreign, want) {
		gone := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(foreign, s) })
		more := slices.DeleteFunc(foreign, func(s string) bool { return slices.Contains(want, s) })
		w.report.add(&w.report.changes, "%s: foreign elements removed: %v, added: %v", q.name, gone, more)
	}
}

// classOf returns the class of a status, 0 for a status that no request may get.
func classOf(status int) class {
	switch status {
	case 200, 204, 303:
		return done
	case 400, 413, 415:
		return malformed
	case 401:
		return unknown
	case 403:
		return forbidden
	case 404:
		return absent
	case 405:
		return wrongMethod
	case 409:
		return conflict
	}
	return 0
}

func (c class) String() string {
	var names []string
	for i, name := range []string{"done", "malformed", "unknown", "forbidden", "absent", "wrong method", "conflict"} {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// faults returns what is wrong with an answer of any class.
func faults(q *request, a answer) (list []string) {
	fault := func(ok bool, text string) {
		if !ok {
			list = append(list, text)
		}
	}
	contentType, get := a.header.Get("Content-Type"), a.header.Get
	fromLibrary := a.status == 400 && strings.HasPrefix(contentType, "text/plain") // of net/http, for malformed HTTP
	if fromLibrary {
		return nil
	}
	fault(get("X-Content-Type-Options") == "nosniff" && get("Content-Security-Policy") != "" && get("Referrer-Policy") != "" && get("Cross-Origin-Resource-Policy") == "same-origin", "a security header is missing")
	fault((get("Www-Authenticate") != "") == (a.status == 401), "WWW-Authenticate belongs to 401 only")
	fault((get("Allow") != "") == (a.status == 405), "Allow belongs to 405 only")
	fault(get("Access-Control-Allow-Origin") == "" || q.credential.listedPage && get("Access-Control-Allow-Origin") == listedOrigin, "a page of an unlisted origin may read the answer")
	fault(get("Access-Control-Allow-Credentials") == "", "pages of other origins may send the cookie")
	fault(get("Set-Cookie") == "" || q.route == "/sign-out", "the answer sets a cookie")
	if a.status >= 400 && q.method != "HEAD" && q.route != "/sign-in" {
		fault(contentType == "application/problem+json", "not a problem document but "+contentType)
	}
	if a.status == 303 {
		location := get("Location")
		fault(strings.HasPrefix(location, "./"), "redirect to "+location)
	}
	return list
}

// leaks describes the strings of an answer that the caller may not see: of flows, unless the request has them too, and secrets.
func leaks(s *server, q *request, a answer, sent string) (list []string) {
	var b bytes.Buffer
	_ = a.header.Write(&b)
	text := b.String() + a.body
	for _, flow := range flows {
		shown := text
		if mayShowHolder(q, flow) {
			for _, region := range claimedRegions {
				shown = strings.ReplaceAll(shown, clusterOf(flow, region), "")
			}
		}
		for _, one := range []struct {
			what, text string
			allowed    bool
		}{
			{"the content of ", canary(flow), mayShow(q, flow)},
			{"the name of ", flow, mayShow(q, flow) || flow == ownFlow && mayShow(q, justOutside)},
			{"the incarnation of ", s.incarnations[flow], mayShowIncarnation(q, flow) || !exists(flow)},
		} {
			if !one.allowed && strings.Contains(shown, one.text) && !strings.Contains(sent, one.text) {
				list = append(list, one.what+flow)
			}
		}
	}
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			list = append(list, "a secret")
		}
	}
	return list
}

// searchLog checks that a log has no token and no posted content. A log may have names of flows, regions, callers and clusters.
func (w *world) searchLog(s *server) {
	log := s.log.String()
	for _, flow := range flows {
		for _, region := range claimedRegions {
			log = strings.ReplaceAll(log, clusterOf(flow, region), "")
		}
	}
	unwanted := append(slices.Clone(secrets), payload)
	for _, flow := range flows {
		unwanted = append(unwanted, canary(flow))
	}
	for _, text := range unwanted {
		if at := strings.Index(log, text); at >= 0 {
			w.report.add(&w.report.leaks, "the log has %.12s…: %q", text, log[max(0, at-200):at])
		}
	}
	w.report.mu.Lock()
	defer w.report.mu.Unlock()
	w.report.denials += strings.Count(log, "access denied")
}

// oneIn reports whether a request is in the sample of one in n.
func oneIn(n uint32, q *request) bool {
	h := fnv.New32a()
	h.Write([]byte(q.name))
	return h.Sum32()%n == 0
}

func TestMatrix_EveryAnswerIsAsDocumented(t *testing.T) {
	all := cells()
	var some []*request
	for _, q := range all {
		n := uint32(share)
		if c := expect(q); c == unknown || c == wrongMethod {
			n *= 8
		}
		if *full || oneIn(n, q) {
			some = append(some, q)
		}
	}
	r := &report{statuses: map[int]int{}}
	const worlds = 4
	t.Run("worlds", func(t *testing.T) {
		for i := range worlds {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				var part []*request
				for j := i; j < len(some); j += worlds {
					part = append(part, some[j])
				}
				newWorld(t, r, nil).sendAll(part)
			})
		}
	})
	r.show(t)
	for _, status := range []int{200, 204, 303, 400, 401, 403, 404, 405, 409, 415} {
		if r.statuses[status] == 0 {
			t.Errorf("no answer with status %d: the matrix has lost a part", status)
		}
	}
	if r.sent != len(some) || r.denials == 0 {
		t.Errorf("%d of %d requests were sent, and the logs have %d denials", r.sent, len(some), r.denials)
	}
	t.Logf("%d of %d requests, answers by status: %v", r.sent, len(all), r.statuses)
}

// TestMatrix_FindsWidenedCredentials is the control: with a tokens file that allows a caller more than the oracle knows, the matrix must find wrong classes
// of answers, and leaks and forbidden changes where the row expects them.
func TestMatrix_FindsWidenedCredentials(t *testing.T) {
	type entries map[string]object // changed members, by name of the entry; nil removes a member
	all := cells()
	for _, tt := range []struct {
		name           string
		entries        entries
		credential     string // only requests with this credential are sent
		leaks, changes bool   // the matrix must also find leaks, or forbidden changes
	}{
		{"a bound token is not bound", entries{"of-fsn1": {"regions": nil}}, "bearer of of-fsn1", false, true},
		{"a bound token has another region", entries{"of-fsn1": {"regions": []string{"fsn1", "hel1"}}}, "bearer of of-fsn1", false, true},
		{"a bound token has the region of another", entries{"of-two": {"regions": []string{"hel1"}}}, "bearer of of-two", false, true},
		{"a bound token is an admin's", entries{"of-fsn1-blind": {"scopes": []string{"admin"}}}, "bearer of of-fsn1-blind", true, true},
		{"a bound admin is not bound", entries{"admin-of-fsn1": {"regions": nil}}, "bearer of admin-of-fsn1", false, true},
		{"a bound token of all flows is not bound", entries{"of-hel1": {"regions": nil}}, "bearer of of-hel1", false, true},
		{"a read token ingests", entries{"reader": {"scopes": []string{"read", "ingest"}}}, "bearer of reader", false, true},
		{"a read token reads all flows", entries{"reader": {"flows": everything}}, "bearer of reader", true, false},
		{"a pattern is wider by a character", entries{"reader": {"flows": []string{"team-a7*"}}}, "bearer of reader", true, false},
		{"an ingest token reads", entries{"writer": {"scopes": []string{"read", "ingest"}}}, "bearer of writer", true, false},
		{"another audience is trusted", entries{"cluster-fsn1": {"audience": "api"}}, "account, another audience", true, true},
		{"another subject is trusted", entries{"cluster-fsn1": {"subject": "system:serviceaccount:default:default"}}, "account, another subject", true, true},
		{"clusters have each other's keys", entries{"cluster-fsn1": {"jwksFile": "hel1.json"}, "cluster-hel1": {"jwksFile": "fsn1.json"}}, "account, RS256", false, true},
		{"a proxy is trusted everywhere", entries{"user:ann": {"peers": []string{"127.0.0.1"}}}, "proxy's user, untrusted address", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var some []*request
			for _, q := range all {
				if q.credential.name == tt.credential && expect(q) != wrongMethod && oneIn(4, q) {
					some = append(some, q)
				}
			}
			r := &report{statuses: map[int]int{}}
			newWorld(t, r, func(name string, entry object) { entry.change(tt.entries[name]) }).sendAll(some)
			t.Logf("%d requests: %d mismatches, %d leaks, %d changes", r.sent, len(r.mismatches), len(r.leaks), len(r.changes))
			if len(r.mismatches) == 0 || tt.leaks && len(r.leaks) == 0 || tt.changes && len(r.changes) == 0 {
				t.Error("the matrix has not found the widened credential")
			}
		})
	}
}
