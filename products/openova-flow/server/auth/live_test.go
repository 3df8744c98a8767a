package auth

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// within is how soon a stream must end.
const within = 5 * time.Second

// running runs a until the test's end.
func running(t *testing.T, a *Authority) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { a.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	synctest.Wait()
}

func reading(flowID string) func(*Grant) error {
	return func(g *Grant) error { return g.CheckRead(flowID) }
}

// ended returns a channel that is closed when a session ends.
func ended(s *Session) <-chan struct{} {
	c := make(chan struct{})
	s.Then(func() { close(c) })
	return c
}

// endsInTime checks that a session ends within the limit after change, for the reason want.
func endsInTime(t *testing.T, s *Session, want Reason, change func()) {
	t.Helper()
	change()
	changed := time.Now()
	select {
	case <-ended(s):
	case <-time.After(time.Minute):
		t.Fatal("the session has not ended")
	}
	if took := time.Since(changed); took > within {
		t.Errorf("the session ended after %v", took)
	}
	if got := reason(t, s.Err()); got != want {
		t.Errorf("the session ended for %s (%v), want %s", got, s.Err(), want)
	}
	if r := s.Err().(*Denial); r.Name == "" {
		t.Error("the denial lacks the caller's name")
	}
}

func staysOpen(t *testing.T, s *Session, d time.Duration) {
	t.Helper()
	select {
	case <-ended(s):
		t.Fatalf("the session has ended: %v", s.Err())
	case <-time.After(d):
	}
}

func TestSession_EndsWhenRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTokensDir(t)
		p.file(object{"tokens": []object{tokenOf("a", "1"), tokenOf("b", "2")}})
		a := p.load()
		running(t, a)
		revoked, stays := a.Open(accepted(t, a, "1", "a"), reading("x")), a.Open(accepted(t, a, "2", "b"), reading("x"))
		staysOpen(t, revoked, time.Hour)
		endsInTime(t, revoked, Unknown, func() { p.file(object{"tokens": []object{tokenOf("b", "2")}}) })
		denied(t, a, "1", Unknown)
		staysOpen(t, stays, time.Hour)
		stays.Close()
		if len(a.sessions) > 0 {
			t.Error("a closed or ended session is still in the Authority")
		}
	})
}

func TestSession_EndsWhenNarrowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTokensDir(t)
		p.file(object{"tokens": []object{tokenOf("a", "1")}})
		a := p.load()
		running(t, a)
		x, y := a.Open(accepted(t, a, "1", "a"), reading("x")), a.Open(accepted(t, a, "1", "a"), reading("y"))
		endsInTime(t, x, Flow, func() { p.file(object{"tokens": []object{tokenOf("a", "1").with(object{"flows": []string{"y"}})}}) })
		staysOpen(t, y, time.Hour)
		endsInTime(t, y, Scope, func() {
			p.file(object{"tokens": []object{tokenOf("a", "1").with(object{"scopes": []string{"ingest"}})}})
		})
	})
}

// TestSession_ThenIsCalledOnce sets the function before and after the end of the session.
func TestSession_ThenIsCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTokensDir(t)
		p.file(object{"tokens": []object{tokenOf("a", "1"), tokenOf("b", "2")}})
		a := p.load()
		running(t, a)
		s := a.Open(accepted(t, a, "1", "a"), reading("x"))
		var calls atomic.Int64
		s.Then(func() {
			if s.Err() == nil {
				t.Error("called before the session has ended")
			}
			calls.Add(1)
		})
		p.file(object{"tokens": []object{tokenOf("b", "2")}})
		time.Sleep(within)
		if n := calls.Load(); n != 1 || reason(t, s.Err()) != Unknown {
			t.Errorf("called %d times, for %v", n, s.Err())
		}
		staysOpen(t, a.Open(accepted(t, a, "2", "b"), reading("x")), time.Hour)
		s.Then(func() { calls.Add(1) })
		if n := calls.Load(); n != 2 {
			t.Errorf("called %d times, with one call after the end", n)
		}
	})
}

func TestSession_IsCheckedOncePerChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTokensDir(t)
		p.file(object{"tokens": []object{tokenOf("a", "1")}})
		a := p.load()
		running(t, a)
		var checks atomic.Int64
		s := a.Open(accepted(t, a, "1", "a"), func(*Grant) error { checks.Add(1); return nil })
		for range 3 {
			p.file(object{"tokens": []object{tokenOf("a", "1"), tokenOf("b", NewToken())}})
			staysOpen(t, s, time.Hour)
		}
		if n := checks.Load(); n != 3 {
			t.Errorf("checked %d times at 3 changes", n)
		}
	})
}

func TestSession_EndsWhenExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := twoClusters(t)
		running(t, a)
		token := fsn1().token(t, goodClaims().with(object{"exp": time.Now().Unix() + 600}))
		g := accepted(t, a, token, "cluster-fsn1")
		s := a.Open(g, reading("prod-1"))
		staysOpen(t, s, 599*time.Second)
		accepted(t, a, token, "cluster-fsn1")
		if again, err := a.Recheck(t.Context(), g); again != g || err != nil {
			t.Errorf("%v, %v", again, err)
		}
		endsInTime(t, s, Expired, func() { time.Sleep(time.Until(g.expires)) })
		denied(t, a, token, Expired)
		if _, err := a.Recheck(t.Context(), g); reason(t, err) != Expired || err.(*Denial).Name != "cluster-fsn1" {
			t.Errorf("a request of the ended session is allowed: %v", err)
		}
	})
}

func TestSession_EndsWhenItsKeyIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTokensDir(t)
		p.put("fsn1.json", fsn1().jwks(t))
		p.put("hel1.json", hel1().jwks(t))
		p.file(object{"trust": []object{trustOf("fsn1"), trustOf("hel1")}})
		a := p.load()
		running(t, a)
		f, h := fsn1().token(t, goodClaims()), hel1().token(t, goodClaims())
		gone, stays := a.Open(accepted(t, a, f, "cluster-fsn1"), reading("prod-1")), a.Open(accepted(t, a, h, "cluster-hel1"), reading("prod-1"))
		staysOpen(t, gone, time.Minute)
		endsInTime(t, gone, Key, func() { p.put("fsn1.json", keySetOf(t, newCluster("next").rsaJWK())) })
		denied(t, a, f, Key)
		staysOpen(t, stays, time.Minute)
	})
}

func TestSession_EndsWhenItsProxyIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTokensDir(t)
		p.file(object{"proxy": proxyOf("10.0.0.0/8")})
		a := p.load()
		running(t, a)
		r, err := http.NewRequest("GET", "/", nil)
		must(t, err)
		r.RemoteAddr = "10.0.0.1:1"
		r.Header.Set("X-Forwarded-User", "ann")
		g, err := a.Authenticate(r)
		must(t, err)
		s := a.Open(g, reading("x"))
		staysOpen(t, s, time.Minute)
		endsInTime(t, s, Unknown, func() { p.file(object{"proxy": proxyOf("10.0.0.2")}) })
		// A user from a header that is no longer the proxy's may come from any client.
		p.file(object{"proxy": proxyOf("10.0.0.0/8")})
		time.Sleep(time.Minute)
		g, err = a.Authenticate(r)
		must(t, err)
		endsInTime(t, a.Open(g, reading("x")), Unknown, func() { p.file(object{"proxy": proxyOf("10.0.0.0/8").with(object{"header": "X-User"})}) })
	})
}

// TestSession_OpenedAfterItsTokenWasRevokedEnds opens a session with a grant from before the revocation, after the sessions were checked for it.
func TestSession_OpenedAfterItsTokenWasRevokedEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTokensDir(t)
		p.file(object{"tokens": []object{tokenOf("a", "1"), tokenOf("b", "2")}})
		a := p.load()
		running(t, a)
		g := accepted(t, a, "1", "a")
		p.file(object{"tokens": []object{tokenOf("b", "2")}})
		time.Sleep(time.Minute)
		endsInTime(t, a.Open(g, reading("x")), Unknown, func() {})
	})
}

func TestReload_FailureKeepsPreviousContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTokensDir(t)
		p.put("fsn1.json", fsn1().jwks(t))
		good := object{"tokens": []object{tokenOf("a", "1")}, "trust": []object{trustOf("fsn1")}}
		p.file(good)
		a := p.load()
		running(t, a)
		token := fsn1().token(t, goodClaims().with(object{"exp": time.Now().Unix() + 100000}))
		s := a.Open(accepted(t, a, token, "cluster-fsn1"), reading("prod-1"))
		for _, bad := range []string{`{"tokens":[{"name":"ofl_leaked-secret`, `{"tokens":"leaked-secret"}`, `{"tokens":[{"name":"a","sha256":"leaked-secret"}]}`} {
			p.put("tokens.json", bad)
			p.put("fsn1.json", bad)
			staysOpen(t, s, time.Hour)
			accepted(t, a, "1", "a")
			accepted(t, a, token, "cluster-fsn1")
			if !a.Failing() {
				t.Error("Failing is false")
			}
		}
		must(t, os.Remove(p.path("tokens.json")))
		must(t, os.Remove(p.path("fsn1.json")))
		staysOpen(t, s, time.Hour)
		accepted(t, a, "1", "a")
		log := p.log.String()
		if n := strings.Count(log, "level=ERROR msg=\"tokens file "); n != 4 {
			t.Errorf("%d lines about the tokens file, want one for each change:\n%s", n, log)
		}
		if n := strings.Count(log, "level=ERROR msg=\"key set "); n != 4 {
			t.Errorf("%d lines about the key set, want one for each change:\n%s", n, log)
		}
		if strings.Contains(log, "leaked") {
			t.Errorf("the log has content of the files:\n%s", log)
		}
		p.put("fsn1.json", fsn1().jwks(t))
		p.file(good)
		staysOpen(t, s, time.Minute)
		if a.Failing() {
			t.Error("Failing is true though all files are valid")
		}
		// An unreadable key set does not prevent the revocation of another caller.
		p.put("fsn1.json", "x")
		revoked := a.Open(accepted(t, a, "1", "a"), reading("x"))
		endsInTime(t, revoked, Unknown, func() { p.file(object{"trust": []object{trustOf("fsn1")}}) })
		staysOpen(t, s, time.Minute)
	})
}

// TestReload_OtherKeysUnderTheSameName changes the jwksFile of an entry. The new keys have the kids of the old ones.
func TestReload_OtherKeysUnderTheSameName(t *testing.T) {
	p := newTokensDir(t)
	next := newCluster("fsn1-key")
	p.put("fsn1.json", fsn1().jwks(t))
	p.put("next.json", next.jwks(t))
	p.file(object{"trust": []object{trustOf("fsn1")}})
	a := p.load()
	accepted(t, a, fsn1().token(t, goodClaims()), "cluster-fsn1")
	p.file(object{"trust": []object{trustOf("fsn1").with(object{"jwksFile": "next.json"})}})
	a.read()
	denied(t, a, fsn1().token(t, goodClaims()), Signature)
	accepted(t, a, next.token(t, goodClaims()), "cluster-fsn1")
}

// TestReload_FollowsSymbolicLinks changes a file as Kubernetes changes the files of a mounted Secret.
func TestReload_FollowsSymbolicLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTokensDir(t)
		version := func(name, token string) {
			must(t, os.Mkdir(p.path(name), 0o700))
			p.put(name+"/tokens.json", asJSON(t, object{"tokens": []object{tokenOf("a", token)}}))
			must(t, os.Symlink(name, p.path("..new")))
			must(t, os.Rename(p.path("..new"), p.path("..data")))
		}
		version("..1", "1")
		must(t, os.Symlink("..data/tokens.json", p.path("tokens.json")))
		a := p.load()
		running(t, a)
		s := a.Open(accepted(t, a, "1", "a"), reading("x"))
		endsInTime(t, s, Unknown, func() { version("..2", "2") })
		accepted(t, a, "2", "a")
	})
}

// TestAuthority_ConcurrentUse is for the race detector.
func TestAuthority_ConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t, map[string]string{"fsn1": fsn1().jwks(t), "hel1": hel1().jwks(t)})
		a, p := fetching(t, s)
		running(t, a)
		entry := trustOf("fsn1").with(object{"jwksFile": nil, "jwksURL": "http://127.0.0.1/fsn1"})
		tokens := []string{"1", "2", fsn1().token(t, goodClaims()), newCluster("next").token(t, goodClaims())}
		var wg sync.WaitGroup
		var revoked atomic.Int64
		for i := range 40 {
			wg.Go(func() {
				for range 50 {
					g, err := checkToken(a, tokens[i%len(tokens)])
					if err != nil {
						time.Sleep(time.Second)
						continue
					}
					session := a.Open(g, reading("prod-1"))
					select {
					case <-ended(session):
						revoked.Add(1)
					case <-time.After(10 * time.Second):
					}
					session.Close()
				}
			})
		}
		wg.Go(func() {
			for i := range 60 {
				p.file(object{"tokens": []object{tokenOf("a", tokens[i%2])}, "trust": []object{entry}})
				time.Sleep(3 * time.Second)
			}
		})
		wg.Wait()
		if revoked.Load() == 0 || len(a.sessions) > 0 {
			t.Errorf("%d sessions ended, %d are left", revoked.Load(), len(a.sessions))
		}
	})
}
