package natslog_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestReplicasAreTheSameInAllThatIsKept changes replicas in every way there is, restarts them, and holds all that a checkpoint has of them to
// each other: emitters' last words, leases, rollouts and what only later messages would show.
func TestReplicasAreTheSameInAllThatIsKept(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 6}
	replicas := []*replica{start(t, s, cfg), start(t, s, cfg), start(t, s, cfg)}
	r := rand.New(rand.NewPCG(1, 9))
	for step := range 500 {
		at := replicas[r.IntN(3)]
		id := []string{"F", "G.a:b"}[r.IntN(2)]
		region := fmt.Sprint("r", r.IntN(2))
		claim := hub.Claim{FlowID: id, Region: region, Cluster: fmt.Sprint(r.IntN(2)), TTL: hub.MinTTL, Admin: r.IntN(2) == 0}
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
			p := hub.Post{FlowID: id, Regions: [][]string{nil, {}, {"r0"}}[r.IntN(3)]}
			for range 1 + r.IntN(3) {
				a, b := fmt.Sprint("n", r.IntN(9)), fmt.Sprint("n", r.IntN(9))
				switch r.IntN(5) {
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
				p.Stamp = hub.Stamp{Name: fmt.Sprint("e\xff", r.IntN(3)), N: int64(step)}
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
		var claimed *hub.ClaimError
		var left *hub.LeaseError
		if err != nil && !errors.As(err, &other) && !errors.As(err, &claimed) && !errors.As(err, &left) {
			t.Fatal(err)
		}
	}
	replicas[0].sync(t) // takes a number, which is in what is saved
	kept := func(one *replica) string {
		one.log.Await(t, replicas[0].log)
		var b bytes.Buffer
		if err := one.Save(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := kept(replicas[0])
	for i, one := range append(replicas, start(t, s, cfg)) {
		if got := kept(one); got != want {
			t.Errorf("replica %d has\n%s\nreplica 0\n%s", i, got, want)
		}
	}
}
