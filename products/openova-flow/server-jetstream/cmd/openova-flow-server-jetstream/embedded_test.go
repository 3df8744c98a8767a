package main

import (
	"math"
	"strings"
	"testing"
)

func TestWatermark_IsReadOrCountsAsZero(t *testing.T) {
	for text, want := range map[string]uint64{
		"": 0, "                   7\n": 7, "7 x": 0, "18446744073709551615\n": math.MaxUint64,
		strings.Repeat("9", 20) + "\n": 0, strings.Repeat("9", 40): 0,
	} {
		w, err := openWatermark(write(t, t.TempDir(), "acknowledged", []byte(text)))
		if err != nil {
			t.Fatal(err)
		}
		if w.seq != want {
			t.Errorf("%q is read as %d, want %d", text, w.seq, want)
		}
		w.close()
	}
}
