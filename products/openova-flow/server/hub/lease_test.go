package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

const ttl = 30 * time.Second

// regionWatcher follows the regions of flow F.
type regionWatcher struct {
	t      *testing.T
	reader *hub.Reader
	event  string
	waiter hub.Waiter
	woken  int
}

// watchRegions follows flow F, or the flows of a selection if there is one.
func watchRegions(t *testing.T, h *hub.Hub, s ...hub.Selection) *regionWatcher {
	t.Helper()
	v := &regionWatcher{t: t, event: "regions"}
	var err error
	if len(s) == 0 {
		v.reader, err = h.Follow("F", 0, false)
	} else {
		v.reader, err = h.FollowMany(s[0], 0, false)
		v.event = "F/regions"
	}
	if err != nil {
		t.Fatal(err)
	}
	v.waiter.Wake = func() { v.woken++ }
	t.Cleanup(func() { v.reader.Cancel(&v.waiter); v.reader.Close() })
	return v
}

// frames takes all frames and, unless the flow was deleted, leaves v.waiter waiting for more. It returns the event names, and the content of the regions frames of flow F.
func (v *regionWatcher) frames() (events []string, regions []claims.Regions) {
	v.t.Helper()
	for {
		d := v.reader.Take()
		for _, frame := range bytes.SplitAfter(bytes.Join(d.Frames, nil), []byte("\n\n")) {
			if len(frame) == 0 {
				continue
			}
			_, rest, _ := strings.Cut(string(frame), "event: ")
			event, data, _ := strings.Cut(rest, "\ndata: ")
			events = append(events, event)
			if event != v.event {
				continue
			}
			if strings.HasPrefix(string(frame), "id:") {
				v.t.Errorf("%s has an id", frame)
			}
			var r claims.Regions
			if err := json.Unmarshal([]byte(data), &r); err != nil {
				v.t.Fatalf("%s: %v", frame, err)
			}
			regions = append(regions, r)
		}
		if d.Ended || d.Frames == nil && v.reader.Await(&v.waiter) {
			return events, regions
		}
	}
}

// summary describes the regions frame since the last call: for fsn1 and hel1 the state, the cluster, the ages of the state and of the last renewal
// as age/age, and a refused cluster with the age of its refusal, all ages in seconds. Without a frame it returns "nothing"; more than one is an error.
func (v *regionWatcher) summary() string {
	v.t.Helper()
	_, all := v.frames()
	switch len(all) {
	case 0:
		return "nothing"
	case 1:
	default:
		v.t.Errorf("%d frames: %v", len(all), all)
	}
	out := []string{}
	for _, name := range []string{"fsn1", "hel1"} {
		r, ok := all[0].Regions[name]
		if !ok {
			continue
		}
		text := fmt.Sprintf("%s %s %s %d/%d", name, r.State, r.Cluster, (all[0].At-r.Since)/1000, (all[0].At-r.LastSeen)/1000)
		if r.Refused != nil {
			text += fmt.Sprintf(" refused %s %d", r.Refused.Cluster, (all[0].At-r.Refused.At)/1000)
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// bubble runs a test in fake time, with a running hub.
func bubble(t *testing.T, cfg hub.Config, test func(t *testing.T, h *hub.Hub)) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan struct{})
		go func() { defer close(ran); h.Run(ctx) }()
		test(t, h)
		cancel()
		<-ran
	})
}

func mustClaim(t *testing.T, h *hub.Hub, region, cluster string) claims.Lease {
	t.Helper()
	l, err := h.Claim(record.Claim{FlowID: "F", Region: region, Cluster: cluster, TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Now().Add(ttl).UnixMilli(); l.ExpiresAt != want || l.TTL != ttl || l.ID == "" {
		t.Errorf("%+v, want it to expire at %d", l, want)
	}
	return l
}

func refusedClaim(t *testing.T, h *hub.Hub, region, cluster string) *claims.HeldError {
	t.Helper()
	_, err := h.Claim(record.Claim{FlowID: "F", Region: region, Cluster: cluster, TTL: ttl})
	var refused *claims.HeldError
	if !errors.As(err, &refused) {
		t.Fatalf("%v, want a HeldError", err)
	}
	return refused
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func want(t *testing.T, v *regionWatcher, text string) {
	t.Helper()
	if got := v.summary(); got != text {
		t.Errorf("regions are %q, want %q", got, text)
	}
}

// TestClaim_ExpiresAndIsRenewed checks what the stream of one flow and the merged stream report of a claim until it is dropped.
func TestClaim_ExpiresAndIsRenewed(t *testing.T) {
	for name, selection := range map[string][]hub.Selection{"one flow": nil, "many flows": {all}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
				ingest(t, h, upsert(t, "n", "running"))
				v := watchRegions(t, h, selection...)
				want(t, v, "")
				lease := mustClaim(t, h, "fsn1", "one")
				if v.woken != 1 {
					t.Errorf("woken %d times", v.woken)
				}
				want(t, v, "fsn1 fresh one 0/0")
				wait(20 * time.Second)
				if again := mustClaim(t, h, "fsn1", "one"); again.ID != lease.ID {
					t.Errorf("lease %s after %s", again.ID, lease.ID)
				}
				wait(ttl - time.Millisecond)
				want(t, v, "nothing")
				wait(time.Millisecond)
				want(t, v, "fsn1 stale one 0/30")
				mustClaim(t, h, "hel1", "two")
				want(t, v, "fsn1 stale one 0/30, hel1 fresh two 0/0")
				if fresh, stale := h.Stats.RegionsFresh.Load(), h.Stats.RegionsStale.Load(); fresh != 1 || stale != 1 {
					t.Errorf("%d fresh, %d stale", fresh, stale)
				}
				wait(10 * time.Second)
				mustClaim(t, h, "fsn1", "one")
				want(t, v, "fsn1 fresh one 0/0, hel1 fresh two 10/10")
				if fresh := h.Stats.RegionsFresh.Load(); fresh != 2 {
					t.Errorf("%d fresh", fresh)
				}
				late := watchRegions(t, h, selection...)
				wait(5 * time.Second)
				want(t, late, "fsn1 fresh one 5/5, hel1 fresh two 15/15")
				h.DeleteRegion("F", "fsn1")
				want(t, late, "hel1 fresh two 15/15")
				wait(time.Hour)
				want(t, late, "hel1 stale two 3585/3615")
			})
		})
	}
}

func TestReader_RegionsComeBeforeTheSnapshot(t *testing.T) {
	h := hub.New(hub.Config{})
	early := watchRegions(t, h)
	if events, regions := early.frames(); fmt.Sprint(events) != "[regions]" || len(regions[0].Regions) != 0 {
		t.Errorf("before the flow exists: %v %v", events, regions)
	}
	ingest(t, h, upsert(t, "n", "running"))
	if events, _ := early.frames(); fmt.Sprint(events) != "[snapshot]" {
		t.Errorf("once the flow is created: %v", events)
	}
	if events, _ := watchRegions(t, h).frames(); fmt.Sprint(events) != "[regions snapshot]" {
		t.Errorf("on connecting: %v", events)
	}
	if events, _ := watchRegions(t, h, all).frames(); fmt.Sprint(events) != "[flows F/regions F/snapshot]" {
		t.Errorf("stream of all flows: %v", events)
	}
	h.Delete("F")
	if events, _ := early.frames(); len(events) != 0 {
		t.Errorf("after the deletion: %v", events)
	}
}

func TestClaim_RefusesAnotherCluster(t *testing.T) {
	bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		v := watchRegions(t, h)
		want(t, v, "")
		first := mustClaim(t, h, "fsn1", "one")
		want(t, v, "fsn1 fresh one 0/0")
		wait(10 * time.Second)
		if e := refusedClaim(t, h, "fsn1", "two"); e.Cluster != "one" || e.Expired || !strings.Contains(e.Error(), "one") {
			t.Errorf("%+v", e)
		}
		want(t, v, "fsn1 fresh one 10/10 refused two 0")
		wait(10 * time.Second)
		refusedClaim(t, h, "fsn1", "two") // a repeated attempt changes nothing
		refusedClaim(t, h, "fsn1", "three")
		want(t, v, "nothing")
		wait(10 * time.Second) // the claim has expired
		want(t, v, "fsn1 stale one 0/30 refused two 10")
		if e := refusedClaim(t, h, "fsn1", "two"); !e.Expired {
			t.Errorf("%+v", e)
		}
		wait(ttl - time.Millisecond)
		want(t, v, "nothing")
		wait(time.Millisecond)
		want(t, v, "fsn1 stale one 30/60")
		if n := h.Stats.ClaimsRefused.Load(); n != 4 {
			t.Errorf("Stats.ClaimsRefused is %d", n)
		}
		taken, err := h.Claim(record.Claim{FlowID: "F", Region: "fsn1", Cluster: "two", Admin: true})
		if err != nil || taken.ID == first.ID || taken.TTL != record.DefaultTTL {
			t.Errorf("claim of an expired region by an admin: %+v %v", taken, err)
		}
		want(t, v, "fsn1 fresh two 0/0")
		if _, err := h.Claim(record.Claim{FlowID: "F", Region: "fsn1", Cluster: "one", Admin: true}); err == nil {
			t.Error("an admin took over a claim that has not expired")
		}
		if _, err := h.Ingest(record.Post{FlowID: "F", Lease: first.ID, Messages: []*flow.Message{upsert(t, "n", "x")}}); !errors.As(err, new(*hub.LeaseError)) {
			t.Errorf("POST with the lease of the earlier owner: %v, want a LeaseError", err)
		}
	})
}

func TestIngest_RenewsTheClaimOfItsLease(t *testing.T) {
	bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		lease := mustClaim(t, h, "fsn1", "one")
		v := watchRegions(t, h)
		want(t, v, "fsn1 fresh one 0/0")
		post := record.Post{FlowID: "F", Lease: lease.ID, Stamp: record.Stamp{Name: "e", N: 1}, Messages: []*flow.Message{upsert(t, "n", "x")}}
		for range 3 { // the first one, and exact repeats of it
			wait(20 * time.Second)
			if _, err := h.Ingest(post); err != nil {
				t.Fatal(err)
			}
		}
		want(t, v, "nothing")
		wait(ttl)
		want(t, v, "fsn1 stale one 0/30")
		deletion := record.Post{FlowID: "F", Lease: lease.ID, Messages: []*flow.Message{flow.DeleteNodes("n")}}
		if _, err := h.Ingest(deletion); err != nil {
			t.Fatal(err)
		}
		want(t, v, "fsn1 fresh one 0/0")
		post.Lease, post.Stamp.N = "other", 2
		before := h.Version("F")
		if _, err := h.Ingest(post); !errors.As(err, new(*hub.LeaseError)) || h.Version("F") != before {
			t.Errorf("POST with an unknown lease: %v, %+v after %+v", err, h.Version("F"), before)
		}
		post.FlowID = "G"
		if _, err := h.Ingest(post); !errors.As(err, new(*hub.LeaseError)) || h.Version("G").Incarnation != record.NoIncarnation {
			t.Errorf("POST with a lease to an unknown flow: %v", err)
		}
		h.DeleteRegion("F", "fsn1")
		if _, err := h.Ingest(deletion); !errors.As(err, new(*hub.LeaseError)) {
			t.Errorf("POST with the lease of a deleted region: %v", err)
		}
	})
}

func TestClaim_ShorterTTLAppliesAtOnce(t *testing.T) {
	bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		v := watchRegions(t, h)
		for _, ttl := range []time.Duration{record.MaxTTL, record.MinTTL} {
			if _, err := h.Claim(record.Claim{FlowID: "F", Region: "fsn1", Cluster: "one", TTL: ttl}); err != nil {
				t.Fatal(err)
			}
		}
		want(t, v, "fsn1 fresh one 0/0")
		wait(record.MinTTL)
		want(t, v, "fsn1 stale one 0/5")
	})
}

func TestClaim_LimitsFlowsThatDoNotExist(t *testing.T) {
	bubble(t, hub.Config{MaxStateBytes: 32 << 10}, func(t *testing.T, h *hub.Hub) {
		claim := func(i int) error {
			_, err := h.Claim(record.Claim{FlowID: fmt.Sprint("F", i), Region: "r", Cluster: "c"})
			return err
		}
		made := 0
		for ; made < 1000 && claim(made) == nil; made++ {
		}
		if err := claim(made); !errors.As(err, new(*hub.LimitError)) || made < 10 {
			t.Errorf("after %d: %v", made, err)
		}
		if err := claim(0); err != nil {
			t.Errorf("a claim can't be renewed at the limit: %v", err)
		}
	})
}

func TestClaim_CreatesNoFlow(t *testing.T) {
	bubble(t, hub.Config{MaxFlows: 2, MaxRegions: 2, IdleTimeout: time.Hour}, func(t *testing.T, h *hub.Hub) {
		lease := mustClaim(t, h, "fsn1", "one")
		mustClaim(t, h, "hel1", "two")
		limited := func(flowID, region string) bool {
			_, err := h.Claim(record.Claim{FlowID: flowID, Region: region, Cluster: "c"})
			return errors.As(err, new(*hub.LimitError))
		}
		if !limited("F", "nbg1") || limited("G", "a") || !limited("H", "a") {
			t.Error("claims are not bounded")
		}
		if len(h.List(nil)) != 0 || h.Version("F").Incarnation != record.NoIncarnation || h.Stats.StateBytes.Load() == 0 {
			t.Errorf("%v", h.List(nil))
		}
		h.Delete("G")
		if limited("H", "a") {
			t.Error("a claim that was dropped still counts")
		}
		if _, err := h.Ingest(record.Post{FlowID: "F", Lease: lease.ID, Messages: []*flow.Message{upsert(t, "n", "x")}}); err != nil {
			t.Fatal(err)
		}
		if limited("G", "a") {
			t.Error("a created flow still counts as one that does not exist")
		}
		v := watchRegions(t, h)
		want(t, v, "fsn1 fresh one 0/0, hel1 fresh two 0/0")
		for range 12 {
			wait(10 * time.Minute)
			mustClaim(t, h, "fsn1", "one") // a claim keeps the flow, like a message
		}
		if len(h.List(nil)) != 1 || limited("J", "a") || limited("K", "a") {
			t.Error("want the claimed flow kept, and the expired claims of other flows dropped")
		}
		wait(3 * time.Hour)
		if len(h.List(nil)) != 0 || h.Stats.RegionsFresh.Load()+h.Stats.RegionsStale.Load() != 0 || h.Stats.StateBytes.Load() != 0 {
			t.Errorf("%v, %d bytes", h.List(nil), h.Stats.StateBytes.Load())
		}
	})
}

func TestDelete_DropsClaims(t *testing.T) {
	bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		waiting, many, prompt := watchRegions(t, h), watchRegions(t, h, all), watchRegions(t, h, all)
		first := mustClaim(t, h, "fsn1", "one")
		want(t, waiting, "fsn1 fresh one 0/0")
		h.Delete("F") // the flow does not exist, but its claims are dropped
		want(t, waiting, "")
		if second := mustClaim(t, h, "fsn1", "one"); second.ID == first.ID {
			t.Error("the lease outlived its claim")
		}
		want(t, waiting, "fsn1 fresh one 0/0")
		ingest(t, h, upsert(t, "n", "x"))
		want(t, many, "fsn1 fresh one 0/0")
		want(t, prompt, "fsn1 fresh one 0/0")
		h.Delete("F")
		if events, _ := waiting.frames(); len(events) > 1 {
			t.Errorf("after the deletion: %v", events)
		}
		if events, _ := prompt.frames(); fmt.Sprint(events) != "[F/deleted]" {
			t.Errorf("after the deletion: %v", events)
		}
		ingest(t, h, upsert(t, "n", "x"))
		events, regions := many.frames()
		if fmt.Sprint(events) != "[F/deleted F/snapshot F/regions]" || len(regions[0].Regions) != 0 {
			t.Errorf("of a flow that is created again: %v %v", events, regions)
		}
	})
}

func TestVersion_ChangesWithRegions(t *testing.T) {
	bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		ingest(t, h, upsert(t, "n", "x"))
		before := h.Version("F")
		changed := func(what string, expected bool) {
			t.Helper()
			s, err := h.Snapshot("F")
			if err != nil || s.Version != h.Version("F") {
				t.Errorf("%s: %+v and %+v, %v", what, s.Version, h.Version("F"), err)
			}
			if (s.Version != before) != expected {
				t.Errorf("%s: changed is %v", what, !expected)
			}
			before = s.Version
		}
		none := before
		mustClaim(t, h, "fsn1", "one")
		changed("a claim", true)
		mustClaim(t, h, "fsn1", "one")
		changed("a renewal", false)
		refusedClaim(t, h, "fsn1", "two")
		changed("a refusal", true)
		wait(ttl)
		changed("an expiry", true)
		mustClaim(t, h, "fsn1", "one")
		changed("a renewal after the expiry", true)
		if _, err := h.DeleteRegion("F", "fsn1"); err != nil {
			t.Fatal(err)
		}
		changed("a deletion", true)
		if before != none {
			t.Errorf("version without claims is %+v, want %+v", before, none)
		}
	})
}

// TestReader_AwaitMissesNoRegions changes the regions after a reader has taken all frames and before it waits for more.
func TestReader_AwaitMissesNoRegions(t *testing.T) {
	for name, selection := range map[string][]hub.Selection{"one flow": nil, "many flows": {all}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
				ingest(t, h, upsert(t, "n", "x"))
				v := watchRegions(t, h, selection...)
				for v.reader.Take().Frames != nil {
				}
				mustClaim(t, h, "fsn1", "one")
				if v.reader.Await(&v.waiter) {
					t.Error("Await returned true though there are frames")
				}
				want(t, v, "fsn1 fresh one 0/0")
			})
		})
	}
}

// TestReader_AdoptMissesNoRegions changes the regions after one reader has taken frames and before another reader adopts them.
func TestReader_AdoptMissesNoRegions(t *testing.T) {
	for name, follow := range map[string]func(t *testing.T, h *hub.Hub) *regionWatcher{
		"one flow":   func(t *testing.T, h *hub.Hub) *regionWatcher { return watchRegions(t, h) },
		"many flows": func(t *testing.T, h *hub.Hub) *regionWatcher { return watchRegions(t, h, all) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
				ingest(t, h, upsert(t, "n", "x"))
				first, second := follow(t, h), follow(t, h)
				first.frames()
				second.frames()
				ingest(t, h, upsert(t, "n", "y"))
				d := first.reader.Take()
				mustClaim(t, h, "fsn1", "one")
				adopted := second.reader.Adopt(d)
				want(t, first, "fsn1 fresh one 0/0")
				want(t, second, "fsn1 fresh one 0/0")
				if adopted && name == "one flow" {
					t.Error("a reader that lacks a regions frame adopted the delivery")
				}
				ingest(t, h, upsert(t, "n", "z"))
				if d := first.reader.Take(); !second.reader.Adopt(d) {
					t.Error("a reader that has all frames could not adopt the delivery")
				}
			})
		})
	}
}

// TestCheckpoint_KeepsClaims checks that a replica restores the claims unchanged, and that a server that loads its state file has them as stale.
func TestCheckpoint_KeepsClaims(t *testing.T) {
	bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		ingest(t, h, upsert(t, "n", "x"))
		mustClaim(t, h, "fsn1", "one")
		wait(ttl)
		lease := mustClaim(t, h, "hel1", "two")
		wait(10 * time.Second)
		claim := record.Claim{FlowID: "waiting", Region: "fsn1", Cluster: "one"}
		waiting, err := h.Claim(claim)
		if err != nil {
			t.Fatal(err)
		}
		state := save(t, h)
		check := func(state *record.SavedState, load func(h *hub.Hub, s *record.SavedState), expect, afterTTL string) {
			t.Helper()
			again := hub.New(hub.Config{})
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan struct{})
			go func() { defer close(ran); again.Run(ctx) }()
			defer func() { cancel(); <-ran }()
			load(again, state)
			v := watchRegions(t, again)
			want(t, v, expect)
			if r := again.Stats.RegionsFresh.Load() + again.Stats.RegionsStale.Load(); r != 3 || len(again.List(nil)) != 1 {
				t.Errorf("Stats has %d regions, %v", r, again.List(nil))
			}
			if l, err := again.Claim(claim); err != nil || l.ID != waiting.ID {
				t.Errorf("claim of a flow that does not exist: %+v %v", l, err)
			}
			refusedClaim(t, again, "hel1", "three")
			if l := mustClaim(t, again, "hel1", "two"); l.ID != lease.ID {
				t.Error("the restored claim has another lease")
			}
			v.frames()
			wait(ttl)
			want(t, v, afterTTL)
		}
		check(state, restore, "fsn1 stale one 10/40, hel1 fresh two 10/10", "fsn1 stale one 40/70, hel1 stale two 0/30")
		check(state, (*hub.Hub).Load, "fsn1 stale one 40/70, hel1 stale two 10/40", "fsn1 stale one 70/100, hel1 stale two 0/30")
		soon := hub.New(hub.Config{})
		mustClaim(t, h, "hel1", "two")
		soon.Load(save(t, h))
		want(t, watchRegions(t, soon), "fsn1 stale one 70/100, hel1 stale two 0/0")
		other := record.Claim{FlowID: "F", Region: "fsn1", Cluster: "three", Admin: true}
		if _, err := soon.Claim(other); !errors.As(err, new(*claims.HeldError)) {
			t.Errorf("an admin took over a claim that its owner had no time to renew: %v", err)
		}
		wait(ttl)
		if _, err := soon.Claim(other); err != nil {
			t.Error(err)
		}
	})
}

// TestLoad_KeepsOldClaimsUntilTheyCanBeRenewed loads a state after a pause longer than the idle timeout, in which no cluster could renew its claim.
func TestLoad_KeepsOldClaimsUntilTheyCanBeRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Config{})
		lease := mustClaim(t, h, "fsn1", "one") // of a flow that does not exist
		state := save(t, h)
		time.Sleep(100 * time.Hour)
		restarted := hub.New(hub.Config{})
		restarted.Load(state)
		hub.DropIdle(restarted)
		if again := mustClaim(t, restarted, "fsn1", "one"); again.ID != lease.ID {
			t.Error("the claim was dropped before its cluster could renew it")
		}
	})
}

func TestRun_KeepsAFlowWhoseClaimHasNotExpired(t *testing.T) {
	bubble(t, hub.Config{IdleTimeout: time.Minute}, func(t *testing.T, h *hub.Hub) {
		ingest(t, h, upsert(t, "a", "running"))
		if _, err := h.Claim(record.Claim{FlowID: "F", Region: "fsn1", Cluster: "one", TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		wait(50 * time.Minute)
		if n := len(h.List(nil)); n != 1 {
			t.Errorf("%d flows", n)
		}
		wait(20 * time.Minute)
		if n := len(h.List(nil)); n != 0 {
			t.Errorf("%d flows after the claim has expired", n)
		}
	})
}

// TestClaim_DroppedClaimFreesItsFlow drops a claim long before it expires: its timer must not keep the flow in memory.
func TestClaim_DroppedClaimFreesItsFlow(t *testing.T) {
	h := hub.New(hub.Config{})
	if _, err := h.Claim(record.Claim{FlowID: "F", Region: "fsn1", Cluster: "one", TTL: record.MaxTTL}); err != nil {
		t.Fatal(err)
	}
	kept := hub.Kept(h, "F")
	if runtime.GC(); !kept() {
		t.Fatal("the topic is gone before the claim was dropped")
	}
	if _, err := h.DeleteRegion("F", "fsn1"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); kept(); runtime.GC() { // the runtime removes stopped timers from its heap lazily
		if time.Now().After(deadline) {
			t.Fatal("the timer of the dropped claim keeps its flow in memory")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestChanges_CountsRenewals checks that a renewal by a claim or a POST counts as a change, since Save writes its time.
func TestChanges_CountsRenewals(t *testing.T) {
	bubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
		lease := mustClaim(t, h, "fsn1", "one")
		for name, renew := range map[string]func(){
			"claim": func() { mustClaim(t, h, "fsn1", "one") },
			"request": func() { // a POST that changes nothing else: the flow does not exist
				if _, err := h.Ingest(record.Post{FlowID: "F", Lease: lease.ID, Messages: []*flow.Message{flow.DeleteNodes("x")}}); err != nil {
					t.Fatal(err)
				}
			},
		} {
			before := h.Changes()
			if renew(); h.Changes() == before {
				t.Errorf("a renewal by a %s is no change", name)
			}
		}
	})
}
