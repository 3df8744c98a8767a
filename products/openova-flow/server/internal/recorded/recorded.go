// Package recorded gives tests the Flux adapter's test data: recordings, the messages that the adapter makes from them, and cases with expected verdicts.
package recorded

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// data is the folder of the adapter's test data, relative to a package directly under the server module.
const data = "../../adapter-flux/testdata/"

// Events returns the events of a recording of watches.
func Events[T any](t testing.TB, name string) []T {
	t.Helper()
	return decode[T](t, data+"recordings/"+name+".jsonl")
}

func decode[T any](t testing.TB, file string) []T {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var v T
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// message is a message of the Flux adapter, and the time of the event that caused it.
type message struct {
	At      int64
	Message json.RawMessage
}

// Messages returns the messages of a golden file of the adapter, each as JSON.
func Messages(t testing.TB, golden string) (all [][]byte) {
	t.Helper()
	for _, m := range decode[message](t, data+"golden/"+golden) {
		all = append(all, m.Message)
	}
	return all
}

// Player replays the messages of an adapter, forwards in time.
type Player struct {
	t        testing.TB
	rest     []message
	state    *flow.State
	snapshot *flow.Message
}

// Play returns a Player of a golden file of the adapter.
func Play(t testing.TB, golden string) *Player {
	t.Helper()
	return &Player{t: t, rest: decode[message](t, data+"golden/"+golden), state: flow.NewState("bootstrap", 0)}
}

// At returns the snapshot at a time, Unix milliseconds, which must not be before that of the last call. The pointer is the same while nothing has changed.
func (p *Player) At(now int64) *flow.Message {
	p.t.Helper()
	for ; len(p.rest) > 0 && p.rest[0].At <= now; p.rest = p.rest[1:] {
		m, err := flow.Decode("bootstrap", p.rest[0].Message)
		if err != nil {
			p.t.Fatal(err)
		}
		p.state.Apply(m)
		p.snapshot = nil
	}
	if p.snapshot == nil {
		p.snapshot = p.state.Snapshot()
	}
	return p.snapshot
}

// Case is a case of the adapter's test data.
type Case struct {
	Name  string
	Gates map[string]Gate // by name
}

// Gate is the expected verdict at one time.
type Gate struct {
	At   int64 // Unix milliseconds
	Want string
}

// Play returns a Player of the messages of a case.
func (c Case) Play(t testing.TB) *Player {
	t.Helper()
	return Play(t, "cases/"+c.Name[:2]+".jsonl")
}

// Cases returns all cases.
func Cases(t testing.TB) (all []Case) {
	t.Helper()
	files, err := filepath.Glob(data + "cases/*.expect.json")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		c := Case{strings.TrimSuffix(filepath.Base(file), ".expect.json"), make(map[string]Gate)}
		type block struct{ Gate string }
		want := decode[struct {
			During map[time.Time]block
			After  map[string]block
		}](t, file)[0]
		var last int64 // time of the last event, which may have caused no message
		for _, e := range decode[struct{ At int64 }](t, data+"cases/"+c.Name+".jsonl") {
			last = max(last, e.At)
		}
		for offset, b := range want.After {
			c.add("after "+offset, last+milliseconds(t, offset), b.Gate)
		}
		for at, b := range want.During {
			c.add(at.String(), at.UnixMilli(), b.Gate)
		}
		all = append(all, c)
	}
	return all
}

func (c Case) add(name string, at int64, want string) {
	if want != "" {
		c.Gates[name] = Gate{at, want}
	}
}

// milliseconds parses a duration, also in days.
func milliseconds(t testing.TB, text string) int64 {
	t.Helper()
	days, inDays := strings.CutSuffix(text, "d")
	if inDays {
		text = days + "h"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	if inDays {
		d *= 24
	}
	return d.Milliseconds()
}
