package hub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// TestReader_RegionsReachEveryReader has claims, messages and deletions race with readers that read only when they are woken. In the end each has the
// current regions of its flows.
func TestReader_RegionsReachEveryReader(t *testing.T) {
	const flows = 3
	h := hub.New(hub.Config{RingCapacity: 40})
	var writers, readers sync.WaitGroup
	written := make(chan struct{})
	for f := range flows {
		writers.Go(func() {
			id, r := fmt.Sprintf("f%d", f), rand.New(rand.NewPCG(1, uint64(f)))
			for n := range 600 {
				m := flow.UpsertNodes(flow.Node{ID: "c", FlowID: id, Label: "c", Status: fmt.Sprint(n)})
				if _, err := h.Ingest(record.Post{FlowID: id, Messages: []*flow.Message{m}}); err != nil {
					t.Error(err)
				}
				region := fmt.Sprintf("r%d", r.IntN(3))
				switch r.IntN(30) {
				case 0:
					h.Delete(id)
				case 1:
					h.DeleteRegion(id, region)
				default:
					_, _ = h.Claim(record.Claim{FlowID: id, Region: region, Cluster: fmt.Sprint(r.IntN(2))})
				}
			}
			m := flow.UpsertNodes(flow.Node{ID: "c", FlowID: id, Label: "c", Status: "end"})
			if _, err := h.Ingest(record.Post{FlowID: id, Messages: []*flow.Message{m}}); err != nil {
				t.Error(err)
			}
		})
	}
	follow := func(many bool) (*hub.Reader, string) {
		r, err := h.Follow("f0", 0, false)
		prefix := "f0/"
		if many {
			r.Close()
			r, err = h.FollowMany(all, 0, false)
			prefix = ""
		}
		if err != nil {
			t.Fatal(err)
		}
		return r, prefix
	}
	for i := range 8 {
		readers.Go(func() {
			known, pace := map[string]map[string]claims.Region{}, rand.New(rand.NewPCG(2, uint64(i)))
			r, prefix := follow(i%2 == 0)
			defer func() { r.Close() }()
			woken := make(chan struct{}, 1)
			waiter := hub.Waiter{Wake: func() {
				select {
				case woken <- struct{}{}:
				default:
				}
			}}
			defer func() { r.Cancel(&waiter) }()
			for wait := written; ; {
				d := r.Take()
				for _, frame := range bytes.SplitAfter(bytes.Join(d.Frames, nil), []byte("\n\n")) {
					applyFrame(t, known, prefix, string(frame))
				}
				switch {
				case d.Ended:
					r.Close()
					r, prefix = follow(false)
					clear(known)
					continue
				case d.Frames != nil, !r.Await(&waiter):
					continue
				}
				if wait == nil && sameRegions(h, known, prefix) {
					return
				}
				if pace.IntN(4) == 0 {
					runtime.Gosched()
				}
				select {
				case <-woken:
				case <-wait:
					wait = nil
					r.Cancel(&waiter)
				case <-time.After(20 * time.Second):
					t.Errorf("reader %d has %v", i, known)
					return
				}
			}
		})
	}
	writers.Wait()
	close(written)
	readers.Wait()
}

func applyFrame(t *testing.T, known map[string]map[string]claims.Region, prefix, frame string) {
	_, rest, found := strings.Cut(frame, "event: ")
	if !found {
		return
	}
	event, data, _ := strings.Cut(rest, "\ndata: ")
	if event == "flows" {
		clear(known)
		return
	}
	id, kind, _ := strings.Cut(prefix+event, "/")
	switch kind {
	case "deleted":
		delete(known, id)
	case "regions":
		var r claims.Regions
		if err := json.Unmarshal([]byte(data), &r); err != nil {
			t.Error(err)
		}
		known[id] = r.Regions
	}
}

// sameRegions compares the regions that a reader has with those of a new reader, without the times of the last renewal and the last attempt.
func sameRegions(h *hub.Hub, known map[string]map[string]claims.Region, prefix string) bool {
	r, err := h.FollowMany(all, 0, false)
	if err != nil {
		return false
	}
	defer r.Close()
	latest := map[string]map[string]claims.Region{}
	for _, frame := range bytes.SplitAfter(bytes.Join(r.Take().Frames, nil), []byte("\n\n")) {
		applyFrame(nil, latest, "", string(frame))
	}
	if prefix != "" {
		latest = map[string]map[string]claims.Region{"f0": latest["f0"]}
	}
	return describe(latest) == describe(known)
}

// describe returns the regions of all flows as a text without the times that differ between readers.
func describe(flows map[string]map[string]claims.Region) string {
	var lines []string
	for id, regions := range flows {
		for name, r := range regions {
			line := fmt.Sprint(id, name, r.State, r.Since, r.Cluster)
			if r.Refused != nil {
				line += r.Refused.Cluster
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return fmt.Sprint(len(flows), lines)
}
