package httpapi

import (
	"fmt"
	"testing"
	"time"
)

func TestLogLimiters_AreBounded(t *testing.T) {
	var l logLimiters
	now := time.Now()
	for i := range 2 * maxLimited {
		if _, ok := l.allow(fmt.Sprint(i), now); i < maxLimited && !ok {
			t.Fatalf("caller %d is limited by the lines of another", i)
		}
	}
	if n := len(l.by); n > maxLimited+1 {
		t.Errorf("%d limiters", n)
	}
	if missed, ok := l.allow("another", now.Add(time.Second)); !ok || missed != maxLimited-1 {
		t.Errorf("%v, %d missed", ok, missed)
	}
}
