package eventstream

import "testing"

func TestList_SubscriberIsInOneListOfEachKind(t *testing.T) {
	todo, idle, due := new(list), new(list), &list{kind: ofTime}
	subs := []*subscriber{{slot: 0}, {slot: 1}, {slot: 2}, {slot: 3}}
	want := func(what string, l *list, slots ...int32) {
		t.Helper()
		var got []int32
		var before *subscriber
		for s := l.first; s != nil; s = s.links[l.kind].next {
			if s.links[l.kind].prev != before || s.in(l.kind) != l {
				t.Errorf("%s: wrong links of slot %d", what, s.slot)
			}
			got, before = append(got, s.slot), s
		}
		if l.last != before || len(got) != len(slots) {
			t.Fatalf("%s: %v, want %v", what, got, slots)
		}
		for i := range got {
			if got[i] != slots[i] {
				t.Fatalf("%s: %v, want %v", what, got, slots)
			}
		}
	}
	for _, s := range subs {
		todo.add(s)
		due.add(s)
	}
	want("added", todo, 0, 1, 2, 3)
	idle.add(subs[1])
	idle.add(subs[3])
	todo.add(subs[0])
	want("moved to the end", todo, 2, 0)
	want("moved to another list", idle, 1, 3)
	want("the other kind", due, 0, 1, 2, 3)
	todo.addAll(idle)
	want("moved together", todo, 2, 0, 1, 3)
	want("emptied", idle)
	for _, s := range []*subscriber{subs[2], subs[3], subs[0], subs[1], subs[1]} {
		s.unlink(ofGroup)
	}
	want("all removed", todo)
	want("the other kind", due, 0, 1, 2, 3)
}
