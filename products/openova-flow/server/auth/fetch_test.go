package auth

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/pipenet"
)

// keyServer serves the key sets of the clusters, each at its name.
type keyServer struct {
	*pipenet.Listener
	mu       sync.Mutex
	sets     map[string]string
	hangs    map[string]bool
	requests map[string]*atomic.Int64
}

func newKeyServer(t *testing.T, sets map[string]string) *keyServer {
	s := &keyServer{Listener: pipenet.Listen(), sets: sets, hangs: map[string]bool{}, requests: map[string]*atomic.Int64{}}
	for name := range sets {
		s.requests["/"+name] = new(atomic.Int64)
	}
	srv := &http.Server{Handler: s}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(s.Listener) })
	t.Cleanup(func() {
		_ = srv.Close()
		wg.Wait()
	})
	return s
}

func (s *keyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests[r.URL.Path].Add(1)
	s.mu.Lock()
	set, hangs := s.sets[r.URL.Path[1:]], s.hangs[r.URL.Path[1:]]
	s.mu.Unlock()
	if hangs {
		<-r.Context().Done()
		return
	}
	if set == "" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if location, redirects := strings.CutPrefix(set, "Location: "); redirects {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
	}
	_, _ = io.WriteString(w, set)
}

func (s *keyServer) serve(name, set string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets[name] = set
}

func (s *keyServer) hang(name string, hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs[name] = hangs
}

// fetching returns an Authority that trusts both clusters by keys from the server.
func fetching(t *testing.T, s *keyServer) (*Authority, *tokensDir) {
	t.Helper()
	p := newTokensDir(t)
	var entries []object
	for _, name := range []string{"fsn1", "hel1"} {
		entries = append(entries, trustOf(name).with(object{"jwksFile": nil, "jwksURL": "http://127.0.0.1/" + name}))
	}
	p.file(object{"trust": entries})
	a := p.load()
	a.dial = s.Dial
	for _, e := range a.policy.Load().trust {
		e.keys.dial = s.Dial
	}
	return a, p
}

func TestFetch_WhenATokenNeedsTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t, map[string]string{"fsn1": fsn1().jwks(t), "hel1": hel1().jwks(t)})
		a, _ := fetching(t, s) // without Run, so the first token causes the fetch
		accepted(t, a, fsn1().token(t, goodClaims()), "cluster-fsn1")
		accepted(t, a, hel1().token(t, goodClaims()), "cluster-hel1")
	})
}

func TestFetch_UnknownKidAtMostOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t, map[string]string{"fsn1": fsn1().jwks(t), "hel1": hel1().jwks(t)})
		a, _ := fetching(t, s)
		running(t, a)
		next := newCluster("next")
		began := time.Now()
		for time.Since(began) < 9*time.Minute {
			denied(t, a, next.token(t, goodClaims()), Key)
			time.Sleep(time.Second)
		}
		for path, requests := range s.requests {
			if n := requests.Load(); n < 8 || n > 9 {
				t.Errorf("%s was fetched %d times in 9 minutes", path, n)
			}
		}
		s.serve("fsn1", keySetOf(t, fsn1().rsaJWK(), next.rsaJWK()))
		time.Sleep(time.Minute)
		accepted(t, a, next.token(t, goodClaims()), "cluster-fsn1") // at once, since it causes a fetch
		accepted(t, a, fsn1().token(t, goodClaims()), "cluster-fsn1")
	})
}

func TestFetch_NotForOtherTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t, map[string]string{"fsn1": fsn1().jwks(t), "hel1": hel1().jwks(t)})
		a, _ := fetching(t, s)
		running(t, a)
		time.Sleep(2 * time.Minute)
		before := s.requests["/fsn1"].Load()
		next, claims := newCluster("next"), goodClaims()
		denied(t, a, next.token(t, claims.with(object{"iss": "x"})), Issuer)
		denied(t, a, next.token(t, claims.with(object{"aud": "x"})), Audience)
		denied(t, a, next.token(t, claims.with(object{"sub": "x"})), Subject)
		denied(t, a, next.token(t, claims.with(object{"exp": 5})), Key)
		denied(t, a, signed(t, object{"alg": "RS256"}, claims, next.rs256), Key)
		denied(t, a, signed(t, object{"alg": "HS256", "kid": "x"}, claims, next.rs256), Algorithm)
		if n := s.requests["/fsn1"].Load(); n != before {
			t.Errorf("%d more fetches", n-before)
		}
	})
}

// TestFetch_FindsAKeyThatArrivedMeanwhile: the fetch of another request may bring the key just after a token was checked without it.
func TestFetch_FindsAKeyThatArrivedMeanwhile(t *testing.T) {
	ring := &keyring{changed: func() {}}
	ring.set.Store(&keySet{})
	entry := &trusted{keys: ring}
	c, denial := parseJWT(fsn1().token(t, goodClaims()))
	if denial != nil {
		t.Fatal(denial)
	}
	_, _, unknown, denial := verifiedBy([]*trusted{entry}, c)
	if denial == nil || denial.Reason != Key || len(unknown) != 1 {
		t.Fatalf("%v, %d entries lack the key", denial, len(unknown))
	}
	keys, err := parseJWKS([]byte(fsn1().jwks(t)))
	if err != nil {
		t.Fatal(err)
	}
	ring.put(keys)
	if found, _, denial := verifiedAfter(func(*keyring) {}, unknown, c, denial); found != entry {
		t.Errorf("denied: %v", denial)
	}
}

func TestFetch_ManyRequestsShareOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t, map[string]string{"fsn1": fsn1().jwks(t), "hel1": hel1().jwks(t)})
		a, _ := fetching(t, s)
		token := fsn1().token(t, goodClaims())
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := checkToken(a, token); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := s.requests["/fsn1"].Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestFetch_SlowClusterDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t, map[string]string{"fsn1": fsn1().jwks(t), "hel1": hel1().jwks(t)})
		s.hang("hel1", true)
		a, _ := fetching(t, s)
		began := time.Now()
		accepted(t, a, fsn1().token(t, goodClaims()), "cluster-fsn1")
		accepted(t, a, fsn1().token(t, goodClaims()), "cluster-fsn1")
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
		denied(t, a, hel1().token(t, goodClaims()), Key)
		if took := time.Since(began); took != fetchTimeout {
			t.Errorf("tokens of the slow cluster took %v", took)
		}
		time.Sleep(time.Minute)
		go func() { _, _ = checkToken(a, hel1().token(t, goodClaims())) }()
		synctest.Wait()
		began = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Check(ctx, Bearer(hel1().token(t, goodClaims()))); reason(t, err) != Key {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("a request with a deadline of a second waited %v for another's fetch", took)
		}
		time.Sleep(time.Minute)
	})
}

func TestFetch_FailureKeepsPreviousKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t, map[string]string{"fsn1": fsn1().jwks(t), "hel1": hel1().jwks(t)})
		a, p := fetching(t, s)
		running(t, a)
		token := fsn1().token(t, goodClaims().with(object{"exp": time.Now().Unix() + 100000}))
		session := a.Open(accepted(t, a, token, "cluster-fsn1"), reading("prod-1"))
		for _, set := range []string{"", "leaked-secret", "Location: http://127.0.0.1/%zz?leaked", `{"keys":1}`, strings.Repeat("leaked", maxKeySet)} {
			s.serve("fsn1", set)
			staysOpen(t, session, 20*time.Minute)
			accepted(t, a, token, "cluster-fsn1")
		}
		s.serve("fsn1", fsn1().jwks(t))
		s.hang("fsn1", true)
		staysOpen(t, session, 20*time.Minute)
		if log := p.log.String(); strings.Contains(log, "leaked") || !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "entry=cluster") {
			t.Errorf("the log is:\n%s", log)
		}
	})
}

func TestFetch_RetriesAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t, map[string]string{"fsn1": "", "hel1": hel1().jwks(t)})
		a, _ := fetching(t, s)
		running(t, a)
		time.Sleep(150 * time.Second)
		if failing, well := s.requests["/fsn1"].Load(), s.requests["/hel1"].Load(); failing != 3 || well != 1 {
			t.Errorf("%d fetches from the failing cluster, %d from the other", failing, well)
		}
	})
}

func TestFetch_ForgetsRemovedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t, map[string]string{"fsn1": fsn1().jwks(t), "hel1": hel1().jwks(t)})
		a, _ := fetching(t, s)
		running(t, a)
		token := fsn1().token(t, goodClaims().with(object{"exp": time.Now().Unix() + 100000}))
		session := a.Open(accepted(t, a, token, "cluster-fsn1"), reading("prod-1"))
		s.serve("fsn1", keySetOf(t, newCluster("next").rsaJWK()))
		select {
		case <-ended(session):
		case <-time.After(fetchEvery + within):
			t.Error("the session has not ended")
		}
		denied(t, a, token, Key)
	})
}

func TestReload_KeepsFetchedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t, map[string]string{"fsn1": fsn1().jwks(t), "hel1": hel1().jwks(t)})
		a, p := fetching(t, s)
		running(t, a)
		token := fsn1().token(t, goodClaims())
		session := a.Open(accepted(t, a, token, "cluster-fsn1"), reading("prod-1"))
		s.serve("fsn1", "")
		entry := trustOf("fsn1").with(object{"jwksFile": nil, "jwksURL": "http://127.0.0.1/fsn1"})
		p.file(object{"trust": []object{entry}, "tokens": []object{tokenOf("a", "1")}})
		staysOpen(t, session, time.Minute)
		accepted(t, a, "1", "a")
		// The entry keeps its name but gets another audience, which the token must match.
		endsInTime(t, session, Audience, func() { p.file(object{"trust": []object{entry.with(object{"audience": "x"})}}) })
	})
}

// TestFetch_HTTPS fetches over a real socket.
func TestFetch_HTTPS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/keys":
			_, _ = w.Write([]byte(fsn1().jwks(t)))
		case "/moved":
			http.Redirect(w, r, "/keys", http.StatusFound)
		case "/endless":
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<16))
			}
		case "/large":
			_, _ = w.Write([]byte(strings.Replace(fsn1().jwks(t), "{", "{"+strings.Repeat(" ", maxKeySet), 1)))
		}
	}))
	defer srv.Close()
	p := newTokensDir(t)
	p.put("ca.pem", pemOf(srv.Certificate()))
	p.put("other.pem", pemOf(otherCA(t)))
	p.put("empty.pem", "")
	tests := []struct {
		name, path, ca string
		want           Reason
		log            string
	}{
		{"by the CA", "/keys", "ca.pem", "", ""},
		{"a CA that is not the system's", "/keys?secret=leaked", "", Key, "certificate signed by unknown authority"},
		{"another CA", "/keys", "other.pem", Key, "certificate signed by unknown authority"},
		{"no CA in its file", "/keys", "empty.pem", Key, "has no PEM certificate"},
		{"no CA file", "/keys", "none.pem", Key, "no such file"},
		{"a redirect", "/moved", "ca.pem", Key, "HTTP status 302"},
		{"over 1 MiB", "/large", "ca.pem", Key, "at most 1 MiB"},
		{"without end", "/endless", "ca.pem", Key, "at most 1 MiB"},
		{"not a key set", "/none?secret=leaked", "ca.pem", Key, "not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			entry := trustOf("fsn1").with(object{"jwksFile": nil, "jwksURL": srv.URL + tt.path})
			if tt.ca != "" {
				entry["jwksCAFile"] = tt.ca
			}
			p.file(object{"trust": []object{entry}})
			p.log.b.Reset()
			_, err := checkToken(p.load(), fsn1().token(t, goodClaims()))
			if got := reason(t, err); got != tt.want {
				t.Errorf("%q (%v), want %q", got, err, tt.want)
			}
			if log := p.log.String(); !strings.Contains(log, tt.log) || strings.Contains(log, "leaked") || tt.log == "" && log != "" {
				t.Errorf("the log is %q, want it with %q", log, tt.log)
			}
		})
	}
}

// otherCA returns a CA certificate that verifies no server.
func otherCA(t *testing.T) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, fsn1().ec.Public(), fsn1().ec)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}
