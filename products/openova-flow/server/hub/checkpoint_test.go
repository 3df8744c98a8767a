package hub_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// save writes a hub's state and reads it again.
func save(t testing.TB, h *hub.Hub) *record.SavedState {
	t.Helper()
	s, err := record.ReadState(bytes.NewReader(savedBy(t, h)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func savedBy(t testing.TB, h *hub.Hub) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := h.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// randomFlow makes random requests to a flow.
type randomFlow struct {
	*rand.Rand
	now int64 // Unix milliseconds
}

func (l *randomFlow) id() string {
	if l.IntN(5) == 0 {
		return fmt.Sprintf("r%d/GitRepository/n/s%d", l.IntN(2), l.IntN(2))
	}
	return fmt.Sprintf("r%d/n%d", l.IntN(2), l.IntN(6))
}

// revised makes the meta of a source, or of a Kustomization or release of a source.
func (l *randomFlow) revised(started int64) string {
	revision := fmt.Sprintf("main@sha1:%040d", l.IntN(4))
	source := fmt.Sprintf(`"source":{"kind":"GitRepository","namespace":"n","name":"s%d"}`, l.IntN(2))
	switch l.IntN(3) {
	case 0:
		return fmt.Sprintf(`,"meta":{"kind":%q,"namespace":"n","url":%q,"ref":%q,"revision":%q,"originRevision":%q,"updatedAt":%d,"ready":"True","generation":%d,"observedGeneration":1}`,
			[]string{"GitRepository", "GitRepository", "OCIRepository"}[l.IntN(3)], []string{"", "https://h/p"}[l.IntN(2)], []string{"branch main", "branch dev"}[l.IntN(2)], revision, []string{"", "a", "b"}[l.IntN(3)], started, 1+l.IntN(2))
	case 1:
		return fmt.Sprintf(`,"meta":{"kind":"Kustomization","attemptedRevision":%q,"revision":"main@sha1:%040d",%s}`, revision, l.IntN(4), source)
	}
	generation := 1 + l.IntN(4)
	return fmt.Sprintf(`,"meta":{"kind":"HelmRelease","appliedBy":%q,"generation":%d,"observedGeneration":%d,"changedSince":%d,"chart":{"sourceRevision":%q},%s}`,
		l.id(), generation, generation-l.IntN(2), l.now, []string{"", revision}[l.IntN(2)], source)
}

func (l *randomFlow) message() string {
	switch l.IntN(14) {
	case 0:
		return fmt.Sprintf(`{"type":"delete-nodes","ids":[%q,%q]}`, l.id(), l.id())
	case 1:
		return fmt.Sprintf(`{"type":"delete-rels","pairs":[{"fromId":%q,"toId":%q,"type":"finish-to-start"}]}`, l.id(), l.id())
	case 2, 3, 4:
		kind := []string{"finish-to-start", "contains", "finish-to-start"}[l.IntN(3)]
		more := []string{"", `,"lag":3`, `,"toFlowId":"G"`, `,"odd":[1.5]`}[l.IntN(4)]
		return fmt.Sprintf(`{"type":"upsert-rels","relationships":[{"fromId":%q,"toId":%q,"type":%q%s}]}`, l.id(), l.id(), kind, more)
	case 5:
		if l.IntN(6) == 0 {
			return fmt.Sprintf(`{"type":"upsert-flow","flow":{"id":"F","status":"odd","startedAt":%d,"extra":{"a":"ü"}}}`, l.IntN(9))
		}
	case 6:
		if l.IntN(6) == 0 {
			return fmt.Sprintf(`{"type":"snapshot","flow":{"id":"F","status":"s","startedAt":1},"nodes":[%s,%s]}`, l.node(), l.node())
		}
	}
	return fmt.Sprintf(`{"type":"upsert-nodes","nodes":[%s,%s]}`, l.node(), l.node())
}

func (l *randomFlow) node() string {
	status := []string{"pending", "running", "running", "succeeded", "succeeded", "failed"}[l.IntN(6)]
	id := l.id()
	text := fmt.Sprintf(`{"id":%q,"flowId":"F","label":"l","status":%q,"region":%q`, id, status, id[:2])
	started := l.now - l.Int64N(200_000)
	if l.IntN(3) > 0 {
		text += fmt.Sprintf(`,"startedAt":%d`, started)
	}
	if status == "succeeded" && l.IntN(3) > 0 {
		text += fmt.Sprintf(`,"endedAt":%d`, started+l.Int64N(60_000))
	}
	meta := []string{"", `,"meta":{"kind":"Kustomization"}`, `,"meta":{"waitingFor":["x"]}`, fmt.Sprintf(`,"meta":{"reason":"SourceNotReady","reasonSince":%d}`, started),
		`,"meta":{"versionApplied":"1","versionWanted":"2"},"unknown":null`}
	meta = append(meta, l.revised(started), l.revised(started), l.revised(started))
	return text + meta[l.IntN(len(meta))] + "}"
}

// post makes the next request. It may have the stamp of an earlier request, with the same or another digest, or be for another incarnation.
func (l *randomFlow) post(t *testing.T, incarnation string, stamps map[string]int64) record.Post {
	p := record.Post{FlowID: "F"}
	for range 1 + l.IntN(3) {
		p.Messages = append(p.Messages, decode(t, l.message()))
	}
	switch l.IntN(8) {
	case 0:
		p.IfIncarnation = "another"
	case 1, 2:
		p.IfIncarnation = incarnation
	}
	if name := fmt.Sprint("e", l.IntN(4)); name != "e0" {
		stamps[name] += l.Int64N(3)
		p.Stamp = record.Stamp{Name: name, Epoch: stamps[name] / 10, N: stamps[name] % 10}
		p.Digest[0] = byte(l.IntN(2))
	}
	return p
}

// view returns the list of flows, and the snapshots, rollouts, revisions and history of flow F. The history has only messages with sequence numbers greater than after.
func view(t *testing.T, h *hub.Hub, after int64) string {
	t.Helper()
	var b strings.Builder
	out := json.NewEncoder(&b)
	s, err := h.Snapshot("F")
	if err != nil {
		return fmt.Sprint(err, h.List(nil))
	}
	rollouts, incarnation, _ := h.Rollouts("F")
	history, _ := h.History("F", after, 0)
	history.Oldest = 0
	fmt.Fprintf(&b, "%d %s %s\n", s.Seq, incarnation, s.JSON())
	for _, region := range []string{"r0", "r1"} {
		part, err := h.RegionSnapshot("F", region)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s %s\n", region, part.Incarnation, part.Tag())
	}
	revisions, err := h.Revisions("F", nil, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{h.List(nil), rollouts, revisions, history} {
		if err := out.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// TestReplace_RestoredFlowBehavesAsTheOriginal gives two hubs the same requests. One of them is now and then replaced by a new hub, restored from the
// saved state of one of the two.
func TestReplace_RestoredFlowBehavesAsTheOriginal(t *testing.T) {
	for seed := range uint64(60) {
		l := &randomFlow{Rand: rand.New(rand.NewPCG(seed, 21)), now: 1_000_000}
		clock := func() time.Time { return time.UnixMilli(l.now) }
		restored := func(s *record.SavedState) *hub.Hub {
			at := l.now
			l.now = 1_000_000 // so that sequence numbers start as those of the other hub did
			h := hub.New(hub.Config{Now: clock, RingCapacity: 20, MaxEmitters: 2})
			l.now = at
			restore(h, s)
			return h
		}
		plain, stamps := restored(new(record.SavedState)), map[string]int64{}
		again := restored(new(record.SavedState))
		since := again.LastSeq() // the ring of again has no message before
		for step := range 120 {
			l.now += l.Int64N(60_000)
			if l.IntN(10) == 0 {
				again = restored(save(t, again))
				since = again.LastSeq()
			}
			switch l.IntN(60) {
			case 0:
				plain.Delete("F")
				again.Delete("F")
			case 1:
				region := fmt.Sprint("r", l.IntN(2))
				plain.DeleteRegion("F", region)
				again.DeleteRegion("F", region)
			default:
				p := l.post(t, plain.Incarnation("F"), stamps)
				was := plain.Incarnation("F")
				r1, err1 := plain.Ingest(p)
				r2, err2 := again.Ingest(p)
				if was == record.NoIncarnation { // the flow may have been created, with another incarnation in each hub
					again = restored(save(t, plain))
					since = again.LastSeq()
				} else if r1 != r2 || !reflect.DeepEqual(err1, err2) {
					t.Fatalf("seed %d, step %d: Ingest returned %v, %v; want %v, %v", seed, step, r2, err2, r1, err1)
				}
			}
			if l.IntN(3) == 0 {
				after := max(since, again.LastSeq()-int64(l.IntN(10)))
				if got, want := view(t, again, after), view(t, plain, after); got != want {
					t.Fatalf("seed %d, step %d: the restored flow is\n%s\nwant\n%s", seed, step, got, want)
				}
			}
		}
		if got, want := again.Stats.Nodes.Load(), plain.Stats.Nodes.Load(); got != want || again.Stats.Flows.Load() != plain.Stats.Flows.Load() {
			t.Fatalf("seed %d: Stats.Nodes is %d, want %d", seed, got, want)
		}
	}
}

// restore restores the flows of a saved state exactly.
func restore(h *hub.Hub, s *record.SavedState) {
	h.RaiseLastSeq(s.LastSeq)
	for _, c := range s.Flows {
		h.Replace(c)
	}
}

func TestLoad_StartsNewIncarnationWithGreaterSeq(t *testing.T) {
	now := time.UnixMilli(9_000_000_000)
	clock := func() time.Time { return now }
	h := hub.New(hub.Config{Now: clock})
	first := ingest(t, h, upsert(t, "a", "running"))
	for range 5 {
		h.Delete("gone") // takes a sequence number that is in no flow
		if _, err := h.Ingest(record.Post{FlowID: "G", Messages: []*flow.Message{flow.DeleteNodes("x")}}); err != nil {
			t.Fatal(err)
		}
	}
	s := save(t, h)

	now = time.UnixMilli(5) // the clock went back
	h = hub.New(hub.Config{Now: clock, IdleTimeout: time.Hour})
	h.Load(s)
	snapshot, err := h.Snapshot("F")
	if err != nil || !bytes.Contains(snapshot.JSON(), []byte(`"id":"a"`)) {
		t.Fatalf("%s %v", snapshot.JSON(), err)
	}
	if snapshot.Seq <= s.LastSeq || snapshot.Incarnation == first.Incarnation || snapshot.Incarnation == record.NoIncarnation {
		t.Errorf("seq %d, incarnation %q; the greatest seq before was %d", snapshot.Seq, snapshot.Incarnation, s.LastSeq)
	}
	if _, err := h.Ingest(record.Post{FlowID: "F", IfIncarnation: first.Incarnation, Messages: []*flow.Message{upsert(t, "b", "running")}}); !errors.As(err, new(*hub.IncarnationError)) {
		t.Errorf("a POST for the old incarnation: %v, want an IncarnationError", err)
	}
	r, err := h.Follow("F", first.Seq, true)
	if err != nil {
		t.Fatal(err)
	}
	f := follower{reader: r}
	if snapshots, messages := f.drain(t); snapshots != 1 || messages != 0 {
		t.Errorf("a resuming subscriber gets %d snapshots and %d messages", snapshots, messages)
	}
	ingest(t, h, upsert(t, "b", "running"))
	if snapshots, messages := f.drain(t); snapshots != 0 || messages != 1 {
		t.Errorf("and then %d snapshots and %d messages", snapshots, messages)
	}
	all, err := h.FollowMany(hub.Selection{Key: "*", Match: func(string) bool { return true }}, first.Seq, true)
	if err != nil {
		t.Fatal(err)
	}
	if d := all.Take(); !bytes.Contains(bytes.Join(d.Frames, nil), []byte("event: F/snapshot")) {
		t.Errorf("a subscriber of all flows gets %q", d.Frames)
	}
}

// TestReplace_WakesReadersWithASnapshot restores the checkpoint of a replica in another one that fell behind.
func TestReplace_WakesReadersWithASnapshot(t *testing.T) {
	start := time.UnixMilli(1_000_000) // replicas of a log assign equal sequence numbers
	cfg := hub.Config{Now: func() time.Time { return start }}
	h, behind := hub.New(cfg), hub.New(cfg)
	ingest(t, h, upsert(t, "a", "running"))
	restore(behind, save(t, h))
	one, _ := behind.Follow("F", 0, false)
	all, _ := behind.FollowMany(hub.Selection{Key: "*", Match: func(string) bool { return true }}, 0, false)
	f := follower{reader: one}
	f.drain(t)
	all.Take()
	woken := 0
	for _, r := range []*hub.Reader{one, all} {
		if !r.Await(&hub.Waiter{Wake: func() { woken++ }}) {
			t.Fatal("Await returned false: there are frames already")
		}
	}
	ingest(t, h, upsert(t, "b", "running"))
	restore(behind, save(t, h))
	if woken != 2 {
		t.Errorf("%d of 2 readers were woken", woken)
	}
	if snapshots, _ := f.drain(t); snapshots != 1 || f.state.NodeCount() != 2 {
		t.Errorf("%d snapshots, %d nodes", snapshots, f.state.NodeCount())
	}
	if d := all.Take(); !bytes.Contains(bytes.Join(d.Frames, nil), []byte(`"id":"b"`)) {
		t.Errorf("a subscriber of all flows gets %q", d.Frames)
	}
}

// savedText returns a saved state of two flows, and of a third that has only a claim.
func savedText(t testing.TB) []byte {
	t.Helper()
	now := time.UnixMilli(1_000_000)
	h := hub.New(hub.Config{Now: func() time.Time { return now }})
	for _, id := range []string{"F", "G"} {
		for i, text := range []string{
			`{"type":"upsert-nodes","nodes":[{"id":"a","flowId":%q,"label":"l","status":"running","startedAt":5,"meta":{"x":"\n"}},{"id":"b","flowId":%[1]q,"label":"l","status":"failed"}]}`,
			`{"type":"upsert-rels","relationships":[{"fromId":"a","toId":"b","type":"contains","lag":1}]}`,
			`{"type":"upsert-nodes","nodes":[{"id":"a","flowId":%q,"label":"l","status":"succeeded","startedAt":5,"endedAt":9}]}`,
		} {
			if strings.Contains(text, "%") {
				text = fmt.Sprintf(text, id)
			}
			m, err := flow.Decode(id, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			now = now.Add(5 * time.Minute)
			if _, err := h.Ingest(record.Post{FlowID: id, Messages: []*flow.Message{m}, Stamp: record.Stamp{Name: "e", N: int64(i)}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, id := range []string{"F", "waiting"} {
		if _, err := h.Claim(record.Claim{FlowID: id, Region: "r1", Cluster: "one"}); err != nil {
			t.Fatal(err)
		}
	}
	return savedBy(t, h)
}

func TestCheckpoint_KeepsTheRegionsOfEmitters(t *testing.T) {
	h := hub.New(hub.Config{})
	lease, err := h.Claim(record.Claim{FlowID: "F", Region: "r1", Cluster: "one"})
	if err != nil {
		t.Fatal(err)
	}
	post := record.Post{FlowID: "F", Messages: []*flow.Message{upsert(t, "a", "running")}, Stamp: record.Stamp{Name: "e", Epoch: 9}, Lease: lease.ID}
	if _, err := h.Ingest(post); err != nil {
		t.Fatal(err)
	}
	restored := hub.New(hub.Config{})
	restore(restored, save(t, h))
	post.Stamp.Epoch, post.Lease = 1, ""
	if _, err := restored.Ingest(post); !errors.As(err, new(*hub.EmitterError)) {
		t.Fatalf("a POST of an earlier epoch: %v, want an EmitterError", err)
	}
	if _, err := restored.DeleteRegion("F", "r1"); err != nil {
		t.Fatal(err)
	}
	if _, err := restored.Ingest(post); err != nil {
		t.Error(err)
	}
}

func TestReadState_RefusesDamage(t *testing.T) {
	whole := savedText(t)
	if s, err := record.ReadState(bytes.NewReader(whole)); err != nil || len(s.Flows) != 3 {
		t.Fatalf("ReadState: %+v, %v; want 3 flows", s, err)
	}
	for n := range whole {
		if _, err := record.ReadState(bytes.NewReader(whole[:n])); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, len(whole))
		}
		flipped := bytes.Clone(whole)
		flipped[n] ^= 1
		if _, err := record.ReadState(bytes.NewReader(flipped)); err == nil {
			t.Fatalf("a state with byte %d changed was accepted", n)
		}
	}
	if _, err := record.ReadState(bytes.NewReader(append(bytes.Clone(whole), '\n'))); err == nil {
		t.Error("a state with trailing data was accepted")
	}
	newer := bytes.Replace(whole, []byte(`{"openovaFlowState":1}`), []byte(`{"openovaFlowState":2}`), 1)
	if _, err := record.ReadState(bytes.NewReader(newer)); !errors.Is(err, record.ErrNewerState) {
		t.Errorf("a newer version: %v, want ErrNewerState", err)
	}
}

// resealed returns a saved state with one piece of text replaced and a matching checksum.
func resealed(t *testing.T, state []byte, old, now string) *record.SavedState {
	t.Helper()
	body, _, ok := bytes.Cut(state, []byte(`{"sha256":`))
	if !ok || bytes.Count(body, []byte(old)) != 1 {
		t.Fatalf("want %q exactly once in %s", old, state)
	}
	body = bytes.Replace(body, []byte(old), []byte(now), 1)
	s, err := record.ReadState(bytes.NewReader(fmt.Appendf(body, "{\"sha256\":\"%x\"}\n", sha256.Sum256(body))))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLoad_OldStateWithForeignContainers loads a state of a version that took hel1/b for a container because of another region's `contains` edge, and so
// derived another status.
func TestLoad_OldStateWithForeignContainers(t *testing.T) {
	at := time.UnixMilli(10_000)
	old := hub.New(hub.Config{Now: func() time.Time { return at }})
	ingest(t, old, decode(t, rels("fsn1/a hel1/b contains")), decode(t, `{"type":"upsert-nodes","nodes":[
		{"id":"fsn1/a","flowId":"F","label":"a","status":"succeeded","region":"fsn1","startedAt":9000,"endedAt":9500},
		{"id":"hel1/b","flowId":"F","label":"b","status":"failed","region":"hel1"}]}`))
	text := bytes.Replace(savedBy(t, old), []byte(`"groups":[]`), []byte(`"containers":["hel1/b"]`), 1)
	s := resealed(t, text, `{"id":"F","status":"failed","startedAt":9000}`, `{"id":"F","status":"succeeded","startedAt":9000,"endedAt":9500}`)
	for name, take := range map[string]func(*hub.Hub){"Load": func(h *hub.Hub) { h.Load(s) }, "Replace": func(h *hub.Hub) { restore(h, s) }} {
		h := hub.New(hub.Config{Now: func() time.Time { return at }})
		take(h)
		if now, err := h.Snapshot("F"); err != nil || !strings.Contains(string(now.JSON()), `"flow":{"id":"F","status":"failed","startedAt":9000}`) {
			t.Errorf("%s: the snapshot is %s, %v", name, now.JSON(), err)
		}
		past, err := h.History("F", 0, 0)
		if err != nil || !strings.Contains(string(past.Base), `"status":"failed","startedAt":9000}`) {
			t.Errorf("%s: the history begins with %s, %v", name, past.Base, err)
		}
		// A later rollout lists the nodes that had failed before it. hel1/b is one of them, since it is no container.
		ingest(t, h, decode(t, `{"type":"upsert-nodes","nodes":[{"id":"fsn1/c","flowId":"F","label":"c","status":"running","region":"fsn1","startedAt":9000000}]}`))
		rollouts, _, err := h.Rollouts("F")
		if err != nil || len(rollouts) == 0 || !slices.Equal(rollouts[0].AlreadyBroken, []string{"hel1/b"}) {
			t.Errorf("%s: the rollouts are %+v, %v", name, rollouts, err)
		}
	}
}

// FuzzReadState: any input is refused, or read, written and read again without a difference.
func FuzzReadState(f *testing.F) {
	f.Add(savedText(f), false)
	f.Add([]byte("{\"openovaFlowState\":1}\n{\"flows\":0,\"number\":7}\n"), true)
	f.Fuzz(func(t *testing.T, data []byte, sum bool) {
		if sum { // a random input has no valid checksum
			data = fmt.Appendf(data, "{\"sha256\":\"%x\"}\n", sha256.Sum256(data))
		}
		s, err := record.ReadState(bytes.NewReader(data))
		if err != nil {
			if s != nil {
				t.Fatal("ReadState returned a state and an error")
			}
			return
		}
		write := func(s *record.SavedState) string {
			var b bytes.Buffer
			out := record.NewStateWriter(&b)
			for _, c := range s.Flows {
				if err := out.Write(c); err != nil {
					t.Fatal(err)
				}
			}
			if err := out.Close(s.LastSeq); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		text := write(s)
		again, err := record.ReadState(strings.NewReader(text))
		if err != nil {
			t.Fatalf("ReadState refused its own output: %v\n%s", err, text)
		}
		if now := write(again); now != text {
			t.Fatalf("read and written again:\n%s\nwant\n%s", now, text)
		}
		for _, take := range []func(*hub.Hub){func(h *hub.Hub) { restore(h, s) }, func(h *hub.Hub) { h.Load(s) }} {
			h := hub.New(hub.Config{})
			take(h)
			exist := 0
			for _, c := range s.Flows {
				if c.Incarnation != record.NoIncarnation {
					exist++
				}
			}
			if got := h.Stats.Flows.Load(); got != int64(exist) {
				t.Fatalf("%d flows of %d", got, exist)
			}
			for _, c := range s.Flows {
				if _, err := h.Ingest(record.Post{FlowID: c.FlowID, Messages: []*flow.Message{flow.DeleteNodes("a"), flow.UpsertNodes(flow.Node{ID: "b", FlowID: c.FlowID, Label: "b", Status: "running"})}}); err != nil {
					t.Fatal(err)
				}
				if _, _, err := h.Rollouts(c.FlowID); err != nil {
					t.Fatal(err)
				}
				if _, err := h.Revisions(c.FlowID, nil, 1000); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := record.ReadState(bytes.NewReader(savedBy(t, h))); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestReplace_StateWithoutRevisions restores a state of a version that kept no revisions: the hub derives them from the nodes.
func TestReplace_StateWithoutRevisions(t *testing.T) {
	one := hub.New(hub.Config{})
	ingest(t, one, decode(t, `{"type":"upsert-nodes","nodes":[{"id":"r/GitRepository/n/s","flowId":"F","label":"s","status":"succeeded","region":"r",
		"meta":{"kind":"GitRepository","namespace":"n","revision":"main@sha1:0123456","updatedAt":1790000000000}}]}`))
	c := one.Checkpoint("F")
	c.Revisions = revision.Memory{}
	var b bytes.Buffer
	out := record.NewStateWriter(&b)
	if err := errors.Join(out.Write(c), out.Close(one.LastSeq())); err != nil || strings.Contains(b.String(), `"revisions"`) {
		t.Fatalf("%v, %s", err, &b)
	}
	s, err := record.ReadState(&b)
	if err != nil {
		t.Fatal(err)
	}
	two := hub.New(hub.Config{})
	restore(two, s)
	want, _ := one.Revisions("F", nil, 10)
	if got, err := two.Revisions("F", nil, 10); err != nil || len(got.Revisions) != 1 || !reflect.DeepEqual(got.Revisions, want.Revisions) {
		t.Errorf("revisions: %+v, %v; want %+v", got.Revisions, err, want.Revisions)
	}
}

func TestCheckpoint_KeepsEmitterNamesThatAreNotUTF8(t *testing.T) {
	one := hub.New(hub.Config{})
	p := record.Post{FlowID: "F", Messages: []*flow.Message{upsert(t, "a", "x")}, Stamp: record.Stamp{Name: "e\xff", N: 2}}
	first, err := one.Ingest(p)
	if err != nil {
		t.Fatal(err)
	}
	s, err := record.ReadState(bytes.NewReader(savedBy(t, one)))
	if err != nil {
		t.Fatal(err)
	}
	two := hub.New(hub.Config{})
	restore(two, s)
	if again, err := two.Ingest(p); err != nil || again != first {
		t.Errorf("a repeat: %v, %v; want %v", again, err, first)
	}
}

// TestReadState_ReadsTheStateOfAFullHub fills a hub until it refuses messages, also with ids that take six times as many bytes in JSON. Deleted nodes stay
// members of the open rollout, which is one line of the saved state.
func TestReadState_ReadsTheStateOfAFullHub(t *testing.T) {
	for _, c := range []string{"<", "\x01", "x"} {
		for _, deletes := range []bool{false, true} {
			h := hub.New(hub.Config{MaxFlowBytes: 1 << 20, MaxStateBytes: 1 << 20, RingBytes: 16 << 10})
			var limit *hub.LimitError
			for i := 0; limit == nil && i < 5000; i++ {
				id := fmt.Sprint(i, strings.Repeat(c, 1000))
				node := flow.Node{ID: id, FlowID: "F", Label: "l", Status: "running", StartedAt: flow.At(1_790_000_000_000)}
				if _, err := h.Ingest(record.Post{FlowID: "F", Messages: []*flow.Message{flow.UpsertNodes(node)}}); err != nil && !errors.As(err, &limit) {
					t.Fatal(err)
				}
				if deletes {
					ingest(t, h, flow.DeleteNodes(id))
				}
			}
			if limit == nil {
				t.Fatalf("%q, with deletions: %v: the hub is not full", c, deletes)
			}
			state := savedBy(t, h)
			if s, err := h.ReadState(bytes.NewReader(state), 0); err != nil || len(s.Flows) != 1 {
				t.Errorf("%q, with deletions: %v: %d bytes of state: %v", c, deletes, len(state), err)
			}
		}
	}
}

// TestReadState_AllowsOneLargeRequestAboveTheLimit: the limit is checked before a request, not after it.
func TestReadState_AllowsOneLargeRequestAboveTheLimit(t *testing.T) {
	h := hub.New(hub.Config{MaxStateBytes: 1 << 20})
	var nodes []flow.Node
	for i := range 64 {
		nodes = append(nodes, flow.Node{ID: fmt.Sprint(i), FlowID: "F", Label: "l", Status: "running", Meta: flow.Object(`{"x":"` + strings.Repeat("x", 60<<10) + `"}`)})
	}
	m := flow.UpsertNodes(nodes...)
	ingest(t, h, m)
	state := savedBy(t, h)
	if s, err := h.ReadState(bytes.NewReader(state), int64(len(m.JSON()))); err != nil || len(s.Flows) != 1 {
		t.Errorf("%d bytes of state: %v", len(state), err)
	}
	if _, err := h.ReadState(bytes.NewReader(state), 1<<10); !errors.Is(err, record.ErrLargeState) {
		t.Errorf("after small requests %d bytes of state: %v, want ErrLargeState", len(state), err)
	}
}
