package auth

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func BenchmarkCheck(b *testing.B) {
	a := twoClusters(b)
	rs := fsn1().token(b, goodClaims())
	es := signed(b, object{"alg": "ES256", "kid": "fsn1-key-ec"}, goodClaims(), fsn1().es256)
	for _, bb := range []struct {
		name, token string
		cached      bool
	}{{"RS256/verified", rs, false}, {"RS256/cached", rs, true}, {"ES256/verified", es, false}, {"ES256/cached", es, true}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !bb.cached {
					clear(a.policy.Load().cache.m)
				}
				if _, err := checkToken(a, bb.token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, n := range []int{1, 100} {
		a := trusting(b, n, func(i int) []object { return []object{newCluster(fmt.Sprint("key", i)).rsaJWK()} })
		attacker := newCluster("attacker")
		for name, header := range map[string]object{"without kid": {"alg": "RS256"}, "of a known kid": {"alg": "RS256", "kid": "key0"}, "of an unknown kid": {"alg": "RS256", "kid": "x"}} {
			token := signed(b, header, goodClaims(), attacker.rs256)
			b.Run(fmt.Sprintf("forged %s, clusters %d", name, n), func(b *testing.B) {
				for b.Loop() {
					if _, err := checkToken(a, token); err == nil {
						b.Fatal("accepted")
					}
				}
			})
		}
	}
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("opaque of %d", n), func(b *testing.B) {
			b.ReportAllocs()
			p := newTokensDir(b)
			var tokens []object
			for i := range n {
				tokens = append(tokens, tokenOf(fmt.Sprint("t", i), fmt.Sprint(i)))
			}
			p.file(object{"tokens": tokens})
			a := p.load()
			for b.Loop() {
				if _, err := checkToken(a, "1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRecheckSessions is the work of a second for 10,000 streams: while nothing changes, and just after a change.
func BenchmarkRecheckSessions(b *testing.B) {
	a := twoClusters(b)
	token := fsn1().token(b, goodClaims())
	for range 10000 {
		a.Open(accepted(b, a, token, "cluster-fsn1"), func(g *Grant) error { return g.CheckRead("prod-1") })
	}
	for _, change := range []bool{false, true} {
		b.Run(fmt.Sprintf("changed=%v", change), func(b *testing.B) {
			for b.Loop() {
				if change {
					a.changed()
				}
				a.recheckSessions(time.Now())
			}
		})
	}
}

func BenchmarkCheckWrite(b *testing.B) {
	g := bound(b, []string{"ingest"}, "fsn1")
	messages := []*flow.Message{flow.UpsertNodes(flow.Node{ID: "fsn1/a", Region: "fsn1"}), flow.UpsertRels(flow.Relationship{FromID: "fsn1/a", ToID: "fsn1/b", Type: flow.FinishToStart})}
	b.ReportAllocs()
	for b.Loop() {
		if err := g.CheckWrite("F", messages); err != nil {
			b.Fatal(err)
		}
	}
}

func TestCache_IsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cache
		entry := &trusted{keys: new(keyring)}
		set := new(keySet)
		entry.keys.set.Store(set)
		now := time.Now()
		put := func(i int, ends time.Duration) {
			c.put([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, verified{entry, set, now.Add(ends)}, time.Now())
		}
		for i := range maxVerified {
			put(i, time.Hour+time.Duration(i%2)*time.Hour)
		}
		time.Sleep(90 * time.Minute) // half of them have expired
		put(maxVerified, 3*time.Hour)
		if len(c.m) != maxVerified/2+1 {
			t.Errorf("%d tokens are cached", len(c.m))
		}
		for i := range 3 * maxVerified {
			put(i, 4*time.Hour)
		}
		if len(c.m) > maxVerified {
			t.Errorf("%d tokens are cached, the bound is %d", len(c.m), maxVerified)
		}
		if _, ok := c.get([32]byte{}, now.Add(4*time.Hour)); ok {
			t.Error("an expired token is in the cache")
		}
	})
}
