package natslog_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natslog"
	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// TestLog_ReplicasHaveEqualCheckpoints makes random changes at three replicas, restarts them, and compares all that a checkpoint contains, also state that
// only later messages would show.
func TestLog_ReplicasHaveEqualCheckpoints(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 6}
	replicas := []*replica{start(t, s, cfg), start(t, s, cfg), start(t, s, cfg)}
	r := rand.New(rand.NewPCG(1, 9))
	for step := range 500 {
		at := replicas[r.IntN(3)]
		id := []string{"F", "G.a:b"}[r.IntN(2)]
		region := fmt.Sprint("r", r.IntN(2))
		claim := record.Claim{FlowID: id, Region: region, Cluster: fmt.Sprint(r.IntN(2)), TTL: record.MinTTL, Admin: r.IntN(2) == 0}
		var err error
		switch n := r.IntN(30); {
		case n == 0:
			_, err = at.Delete(id)
		case n == 1:
			_, err = at.DeleteRegion(id, region)
		case n == 2:
			n := r.IntN(3)
			replicas[n].stop()
			replicas[n] = start(t, s, cfg)
		case n < 8:
			_, err = at.Claim(claim)
		default:
			p := record.Post{FlowID: id, Regions: [][]string{nil, {}, {"r0"}}[r.IntN(3)]}
			for range 1 + r.IntN(3) {
				a, b := fmt.Sprint("n", r.IntN(9)), fmt.Sprint("n", r.IntN(9))
				switch r.IntN(7) {
				case 5, 6:
					p.Messages = append(p.Messages, pushed(t, id, region, r))
				case 0:
					p.Messages = append(p.Messages, flow.DeleteNodes(a))
				case 1:
					p.Messages = append(p.Messages, flow.UpsertRels(flow.Relationship{FromID: a, ToID: b, Type: flow.FinishToStart}))
				default:
					p.Messages = append(p.Messages, message(t, id, fmt.Sprintf("{\n \"type\":\"upsert-nodes\",\r\n\"nodes\":[{\"id\":%q,\"flowId\":%q,\"label\":\"l\",\"status\":%q,\"region\":%q}]}\n",
						a, id, []string{"running", "succeeded", "failed"}[r.IntN(3)], region)))
				}
			}
			if r.IntN(2) == 0 {
				p.Stamp = record.Stamp{Name: fmt.Sprint("e\xff", r.IntN(3)), N: int64(step)}
			}
			if lease, err := at.Claim(claim); err == nil && r.IntN(2) == 0 {
				p.Lease = lease.ID
			}
			if r.IntN(4) == 0 {
				p.IfIncarnation = replicas[r.IntN(3)].Incarnation(id)
			}
			_, err = at.Ingest(p)
		}
		var other *hub.IncarnationError
		var claimed *claims.HeldError
		var left *hub.LeaseError
		if err != nil && !errors.As(err, &other) && !errors.As(err, &claimed) && !errors.As(err, &left) {
			t.Fatal(err)
		}
	}
	replicas[0].sync(t) // gives all hubs the same last sequence number, which Save writes
	saved := func(one *replica) string {
		one.log.Await(t, replicas[0].log)
		var b bytes.Buffer
		if err := one.Save(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := saved(replicas[0])
	for i, one := range append(replicas, start(t, s, cfg)) {
		if got := saved(one); got != want {
			t.Errorf("replica %d saves\n%s\nreplica 0\n%s", i, got, want)
		}
	}
}

// TestLog_EntriesPurgedWhileLoadingShortenTheRing makes the stream drop entries that a starting replica has not read. The replica then has the state, but a
// shorter ring until new messages fill it. A subscriber that cannot resume from this ring gets a snapshot.
func TestLog_EntriesPurgedWhileLoadingShortenTheRing(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 8}
	here := start(t, s, cfg)
	for i := range 20 {
		post(t, here, "F", "a", fmt.Sprint("s", i))
	}
	var release func()
	late := startLoading(t, s, cfg, func(l *natslog.Log) { release = l.Hold() })
	eventually(t, "reading", late.log.Reading)
	for i := range 40 {
		post(t, here, "F", "a", fmt.Sprint("t", i))
	}
	eventually(t, "purged", func() bool { return here.log.Held(t) < 40 })
	release()
	eventually(t, "loaded", func() bool { return late.log.Status().Loaded })
	assertSame(t, late, here, false)
	if late.readEveryEntry() || !here.readEveryEntry() {
		t.Errorf("the loading replica is whole: %t, the other: %t; want false, true", late.readEveryEntry(), here.readEveryEntry())
	}
	short, _ := late.History("F", 0, 0)
	long, _ := here.History("F", 0, 0)
	if len(short.Events) >= len(long.Events) {
		t.Fatalf("the ring has %d messages, want fewer than %d", len(short.Events), len(long.Events))
	}
	for seq, snapshot := range map[int64]bool{long.BaseSeq: true, short.BaseSeq - 1: true, short.BaseSeq: false} {
		reader, err := late.Follow("F", seq, true)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(bytes.Join(reader.Take().Frames, nil), []byte("event: snapshot")); got != snapshot {
			t.Errorf("subscriber at %d, base of the ring %d: snapshot %t, want %t", seq, short.BaseSeq, got, snapshot)
		}
		reader.Close()
	}
	for i := range 8 {
		post(t, here, "F", "a", fmt.Sprint("u", i))
	}
	assertSame(t, late, here, true)
}

// TestLog_RecreatedFlowKeepsItsRing creates a flow again while the stream and the list of checkpoints still have the deleted one. The replica that
// creates it has not applied the deletion yet.
func TestLog_RecreatedFlowKeepsItsRing(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 8}
	here := start(t, s, cfg)
	for i := range 20 {
		post(t, here, "F", "a", fmt.Sprint("s", i))
	}
	here.log.Checkpoint(here.Hub, "F")
	release := here.log.Hold()
	here.log.PublishDelete(t, "F")
	deleted := here.log.End(t)
	posted := make(chan record.Receipt, 1)
	go func() { defer close(posted); posted <- post(t, here, "F", "a", "t") }()
	eventually(t, "entry in the stream", func() bool { return here.log.End(t) > deleted })
	release()
	<-posted
	for i := range 3 {
		post(t, here, "F", "a", fmt.Sprint("t", i))
	}
	here.log.Checkpoint(here.Hub, "F")
	for range 2 { // the second one starts from a checkpoint of the first
		late := start(t, s, cfg)
		if !late.readEveryEntry() {
			t.Error("the flow was loaded twice")
		}
		assertSame(t, late, here, true)
		post(t, late, "F", "a", "u")
		late.log.Checkpoint(late.Hub, "F")
	}
}
