package insight_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

const adapterData = "../../adapter-flux/testdata/"

// recorded is a message of the Flux adapter, and when the event was seen that it was made of.
type recorded struct {
	At      int64
	Message json.RawMessage
}

func readGolden(t *testing.T, file string) []recorded {
	t.Helper()
	text, err := os.ReadFile(adapterData + "golden/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var r recorded
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// The gate gives each case of the adapter's test data the verdict that a person would give it.
func TestVerdict_OfTheCases(t *testing.T) {
	files, err := filepath.Glob(adapterData + "cases/*.expect.json")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".expect.json")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want struct {
				During map[time.Time]struct{ Gate string }
				After  map[string]struct{ Gate string }
			}
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			all := readGolden(t, "cases/"+name[:2]+".jsonl")
			verdict := func(now int64) string {
				held := flow.NewState("bootstrap", 0)
				for _, r := range all {
					if r.At > now {
						break
					}
					m, err := flow.Decode("bootstrap", r.Message)
					if err != nil {
						t.Fatal(err)
					}
					held.Apply(m)
				}
				return insight.Read(held.Snapshot()).At(now, nil).Verdict(everything).Result
			}
			last := lastEvent(t, adapterData+"cases/"+name+".jsonl")
			for offset, o := range want.After {
				if got := verdict(last + milliseconds(t, offset)); o.Gate != "" && got != o.Gate {
					t.Errorf("after %s the gate says %s, want %s", offset, got, o.Gate)
				}
			}
			for at, o := range want.During {
				if got := verdict(at.UnixMilli()); o.Gate != "" && got != o.Gate {
					t.Errorf("at %v the gate says %s, want %s", at, got, o.Gate)
				}
			}
		})
	}
}

// lastEvent is the instant of the last event of a recording. Not every event makes a message.
func lastEvent(t *testing.T, file string) (last int64) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var event struct{ At int64 }
		if err := d.Decode(&event); err != nil {
			t.Fatal(err)
		}
		last = max(last, event.At)
	}
	return last
}

// milliseconds reads a duration that may be in days.
func milliseconds(t *testing.T, text string) int64 {
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
