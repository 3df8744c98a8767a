package e2e

import "testing"

var kits = map[string]string{"fsn1": "kit-fsn1", "hel1": "kit-hel1"}

// Both recorded bootstraps at once: installs that fail and are repaired, an upgrade rolled back, one rejected until it stalls, one
// suspended and resumed, one deleted. Nothing is broken, so every status is seen, in order.
func TestBootstraps(t *testing.T) {
	scenario(t, "both recorded bootstraps at once, every status of every release seen", func(t *testing.T) string {
		s := newStage(t)
		for _, r := range s.both() {
			r.startAdapter().ready()
		}
		s.play(15, kits)()
		took := s.converge()
		s.honest()
		s.complete()
		return "right " + took.String() + " after the last write"
	})
}
