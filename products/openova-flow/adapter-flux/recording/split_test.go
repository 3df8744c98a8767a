package recording

import (
	"io"
	"strings"
	"testing"
)

// endless is a string without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestSplitter_RejectsAnEventOverTheLimit(t *testing.T) {
	s := newSplitter(io.MultiReader(strings.NewReader("\n{\"type\":\""), endless{}))
	s.limit = 1 << 20
	_, _, err := s.next()
	if err == nil || !strings.HasPrefix(err.Error(), "line 2: ") || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("error is %v", err)
	}
	if held := s.buf.Cap(); held > 4<<20 {
		t.Errorf("%d bytes are held", held)
	}
}
