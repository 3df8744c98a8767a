package hub

import "testing"

// TestNumbers_EntryThatIsDoneTwiceFreesNoOtherPlace has an entry end once when its flow has changed, and again when all of it is done.
func TestNumbers_EntryThatIsDoneTwiceFreesNoOtherPlace(t *testing.T) {
	var n numbers
	n.take(10)
	entry := n.openEntry()
	n.take(1)
	if got := n.settled(); got != 10 {
		t.Errorf("while the entry is under way %d is settled, want 10", got)
	}
	entry.done()
	var others []*place
	for range n.places {
		others = append(others, n.open())
		n.take(1)
	}
	entry.done()
	for i, p := range others {
		if p.from.Load() != int64(12+i) {
			t.Errorf("place %d holds %d, want %d", i, p.from.Load(), 12+i)
		}
	}
	if got := n.settled(); got != 11 {
		t.Errorf("%d is settled, want 11", got)
	}
}
