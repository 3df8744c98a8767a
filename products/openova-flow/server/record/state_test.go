package record_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"
	"testing/iotest"

	"github.com/openova-io/openova/products/openova-flow/server/record"
)

func TestReadState_FailedReadOfLastLineIsNotDamage(t *testing.T) {
	var file bytes.Buffer
	if err := record.NewStateWriter(&file).Close(0); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("read error")
	_, err := record.ReadState(io.MultiReader(bytes.NewReader(file.Bytes()[:file.Len()-1]), iotest.ErrReader(failure)))
	if !errors.Is(err, failure) || err.Error() != "line 3: "+failure.Error() {
		t.Errorf("%v, want only %v", err, failure)
	}
}

func TestReadState_RejectsTTLOutsideItsRange(t *testing.T) {
	least, most := record.MinTTL.Milliseconds(), record.MaxTTL.Milliseconds()
	for ttl, valid := range map[int64]bool{least: true, most: true, least - 1: false, most + 1: false, 1<<58 + least: false, math.MinInt64: false} {
		var file bytes.Buffer
		w := record.NewStateWriter(&file)
		c := &record.Checkpoint{FlowID: "F", Incarnation: record.NoIncarnation, Claims: []record.SavedClaim{{Region: "r1", Cluster: "one", Lease: "l", TTL: ttl}}}
		if err := errors.Join(w.Write(c), w.Close(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := record.ReadState(&file); (err == nil) != valid {
			t.Errorf("a TTL of %d ms: %v", ttl, err)
		}
	}
}
