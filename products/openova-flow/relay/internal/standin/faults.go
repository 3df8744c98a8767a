package standin

import (
	"fmt"
	"net/http"
	"sync"
)

// base is the part that all stand-ins share: the violated rules of the service, and whether it is away. mu also guards the fields of the stand-in.
type base struct {
	mu     sync.Mutex
	faults []string
	away   bool
}

// fault records a violated rule. b.mu is held.
func (b *base) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// Faults returns the violations of the rules of the service, in order.
func (b *base) Faults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.faults...)
}

// SetAway sets whether the service answers 503 to everything.
func (b *base) SetAway(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

// unavailable reports whether the service is away, and then answers 503. b.mu is held.
func (b *base) unavailable(w http.ResponseWriter) bool {
	if b.away {
		http.Error(w, "away", http.StatusServiceUnavailable)
	}
	return b.away
}
