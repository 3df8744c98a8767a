package durability

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestReplicas_TwoFailuresLoseNothing causes two failures at once while emitters post to any replica and subscribers move between replicas: both routes of the
// leader, in one direction or both, or a route and another node. No acknowledged message is lost, and no subscriber gets an older state than it has.
func TestReplicas_TwoFailuresLoseNothing(t *testing.T) {
	t.Parallel() // mostly waits
	const emitters, flows, subscribers = 4, 4, 24
	pause := 7 * time.Second // longer than the election of a leader
	if *long {
		pause = 20 * time.Second
	}
	c, replicas := routed(t)
	var urls, ids []string
	for _, p := range replicas {
		urls = append(urls, p.url(""))
	}
	for i := range flows {
		ids = append(ids, fmt.Sprint("f", i))
	}
	l := startLoad(t, ids, urls, emitters, 5, 100*time.Millisecond, subscribers)

	conn := c.Connect()
	defer conn.Close()
	for _, f := range []struct {
		name string
		set  func(leader int, on bool)
	}{
		{"cut off the leader with its replica", func(leader int, on bool) {
			c.Cut(leader, (leader+1)%3, on)
			c.Cut(leader, (leader+2)%3, on)
		}},
		{"cut off the leader from one node, kill the other node and its replica", func(leader int, on bool) {
			c.Cut(leader, (leader+1)%3, on)
			if other := (leader + 2) % 3; on {
				c.Kill(other)
				replicas[other].kill()
			} else {
				c.StartNode(other)
				replicas[other].start()
			}
		}},
		{"stall all connections of the leader", func(leader int, on bool) {
			for i := range 3 {
				if i != leader {
					c.Stall(leader, i, on)
					c.Stall(i, leader, on)
				}
			}
		}},
		{"stall the connections from the leader", func(leader int, on bool) {
			c.Stall(leader, (leader+1)%3, on)
			c.Stall(leader, (leader+2)%3, on)
		}},
		{"stall the connections to the leader", func(leader int, on bool) {
			c.Stall((leader+1)%3, leader, on)
			c.Stall((leader+2)%3, leader, on)
		}},
	} {
		time.Sleep(pause / 7)
		leader := -1
		eventually(t, "the stream has a leader", func() bool { leader = c.Leader(conn, "OPENOVA_FLOW"); return leader >= 0 })
		t.Log(f.name)
		f.set(leader, true)
		time.Sleep(pause)
		f.set(leader, false)
		for _, p := range replicas {
			p.ready()
		}
	}
	l.stopEmitters()

	heads := make(map[string]string)
	for _, id := range ids {
		want := acknowledged(id, l.emitters)
		for i, p := range replicas {
			eventually(t, fmt.Sprintf("replica %d has all acknowledged messages of %s", i, id), func() bool { return elementsOf(t, id, snapshotOf(p, id)) == want })
			onceEach(t, p, id)
		}
		heads[id] = snapshotOf(replicas[0], id)
		if versions := []string{versionOf(replicas[0], id), versionOf(replicas[1], id), versionOf(replicas[2], id)}; len(slices.Compact(versions)) != 1 {
			t.Errorf("%s is %v", id, versions)
		}
		agreeOnHistory(t, id, replicas[1], replicas[0])
		agreeOnHistory(t, id, replicas[2], replicas[0])
	}
	l.checkSubscribers(heads)
	l.report()
}
