package standin

import (
	"fmt"
	"net/http"
	"sync"
)

// log is what all stand-ins have: the rules that were broken, and whether the service is away.
type log struct {
	mu     sync.Mutex
	faults []string
	away   bool
}

func (l *log) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// Faults returns which rules of the service were broken.
func (l *log) Faults() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.faults...)
}

// SetAway makes the service answer 503 to everything, or not any more.
func (l *log) SetAway(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

// closed answers 503 if the service is away. l.mu is held.
func (l *log) closed(w http.ResponseWriter) bool {
	if l.away {
		http.Error(w, "away", http.StatusServiceUnavailable)
	}
	return l.away
}
