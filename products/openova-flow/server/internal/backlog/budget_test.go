package backlog

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudget_EvictsTheLargestHolder(t *testing.T) { synctest.Test(t, testEvictsTheLargestHolder) }

func testEvictsTheLargestHolder(t *testing.T) {
	budget := NewBudget(1000 << 10)
	var evicted []string
	take := func(caller, name string, body []byte) (*Charge, bool) {
		t.Helper()
		return budget.Charge(caller, [][]byte{body}, func() { evicted = append(evicted, name) })
	}
	body := func() []byte { return make([]byte, 300<<10) }
	has := func(bytes, evictions int64, names string) {
		t.Helper()
		if b, n := budget.Stats(); b != bytes<<10 || n != evictions || strings.Join(evicted, " ") != names {
			t.Fatalf("%d KiB held, %d evicted: %v; want %d, %d: %s", b>>10, n, evicted, bytes, evictions, names)
		}
	}
	shared := body()
	_, _ = take("one", "1", shared)
	second, _ := take("one", "2", shared)
	_, _ = take("one", "3", body())
	last, ok := take("one", "4", body())
	if has(900, 0, ""); !ok {
		t.Fatal("one of four answers that fit was rejected")
	}
	if _, ok := take("one", "5", body()); ok {
		t.Error("a caller got more than the limit")
	}
	if _, ok := take("one", "small", make([]byte, PieceBytes)); !ok {
		t.Error("a small answer is counted")
	}
	other, ok := take("two", "6", body())
	if !ok {
		t.Fatal("one caller excludes another")
	}
	has(900, 2, "1 2") // both answers that share the removed bytes
	second.Release()
	has(900, 2, "1 2")
	if _, ok = take("two", "7", make([]byte, 500<<10)); ok {
		t.Error("an answer was evicted for a caller that holds more")
	}
	last.Release()
	other.Release()
	has(300, 2, "1 2")
	if _, ok = take("three", "large", make([]byte, 5000<<10)); ok {
		t.Error("an answer was evicted at once for a caller that would hold more")
	}
	time.Sleep(minAge)
	large, ok := take("three", "large", make([]byte, 5000<<10))
	if has(5000, 3, "1 2 3"); !ok {
		t.Fatal("an answer larger than the budget was rejected though it is the only one")
	}
	large.Release()
	has(0, 3, "1 2 3")
	if len(budget.callers) != 0 || len(budget.shared) != 0 {
		t.Errorf("%v and %v are left", budget.callers, budget.shared)
	}
}

func TestBudget_EvictsNothingForAnAnswerThatDoesNotFit(t *testing.T) {
	budget := NewBudget(1000 << 10)
	var evicted []int
	charges := make([]*Charge, 3)
	for i := range charges {
		charges[i], _ = budget.Charge("one", [][]byte{make([]byte, 300<<10)}, func() { evicted = append(evicted, i) })
	}
	// One eviction is allowed, but would not suffice; a second one is not allowed.
	if _, ok := budget.Charge("two", [][]byte{make([]byte, 701<<10)}, nil); ok {
		t.Error("an answer that does not fit was accepted")
	}
	if bytes, n := budget.Stats(); bytes != 900<<10 || n != 0 || len(evicted) != 0 {
		t.Errorf("%d KiB held, %d evicted: %v; want 900, 0", bytes>>10, n, evicted)
	}
	if _, ok := budget.Charge("two", [][]byte{make([]byte, 300<<10)}, nil); !ok || len(evicted) != 1 || evicted[0] != 0 {
		t.Errorf("accepted: %t, evicted %v; want the oldest", ok, evicted)
	}
	for _, c := range charges {
		c.Release()
	}
	if bytes, _ := budget.Stats(); bytes != 300<<10 {
		t.Errorf("%d KiB held, want 300", bytes>>10)
	}
}

func TestBudget_ReleasesSlicesOfDifferentLengthAtOneAddress(t *testing.T) {
	budget, b := NewBudget(1<<30), make([]byte, 200<<10)
	short, _ := budget.Charge("a", [][]byte{b[:100<<10]}, nil)
	long, _ := budget.Charge("a", [][]byte{b}, nil)
	short.Release()
	long.Release()
	long.Release()
	if bytes, _ := budget.Stats(); bytes != 0 {
		t.Errorf("%d bytes are left", bytes)
	}
}

func TestBudget_EvictsTheOldestAmongEqualCallers(t *testing.T) {
	synctest.Test(t, testEvictsTheOldestAmongEqualCallers)
}

func testEvictsTheOldestAmongEqualCallers(t *testing.T) {
	const callers = 8
	budget := NewBudget(callers * 300 << 10)
	var evicted []string
	take := func(caller string) {
		if _, ok := budget.Charge(caller, [][]byte{make([]byte, 300<<10)}, func() { evicted = append(evicted, caller) }); !ok {
			t.Errorf("the answer of %s is rejected", caller)
		}
		time.Sleep(time.Millisecond)
	}
	want := ""
	for i := range callers {
		take(fmt.Sprint("slow-", (i+3)%callers)) // not sorted by name
		want += fmt.Sprint("slow-", (i+3)%callers, " ")
	}
	for i := range callers {
		take(fmt.Sprint("late-", i))
	}
	if got := strings.Join(evicted, " ") + " "; got != want {
		t.Errorf("evicted %s; want the oldest first: %s", got, want)
	}
}
