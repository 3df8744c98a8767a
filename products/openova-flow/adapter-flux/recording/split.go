package recording

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// maxValue is the greatest size of one value of a recording. A list of 5,000 releases is well below it.
const maxValue = 64 << 20

// splitter splits a stream into JSON objects with any white space between them, and counts lines. It only finds the end of each object; the
// decoder checks whether it is JSON.
type splitter struct {
	in    *bufio.Reader
	line  int // line of the next byte
	limit int
	buf   bytes.Buffer
}

func newSplitter(r io.Reader) *splitter {
	return &splitter{in: bufio.NewReaderSize(r, 64<<10), line: 1, limit: maxValue}
}

// next returns the next object and the line that it begins on, or io.EOF. The bytes are valid until the next call. It must not be called after an error.
func (s *splitter) next() ([]byte, int, error) {
	b, err := s.gap()
	if err != nil {
		return nil, 0, err
	}
	if b != '{' {
		return nil, 0, fmt.Errorf("line %d: %q where an event begins; a recording is JSON objects {\"type\", \"object\"} and nothing else", s.line, b)
	}
	begin := s.line
	s.buf.Reset()
	s.buf.WriteByte(b)
	var state stringState
	for depth := 1; depth > 0; {
		if b, err = s.in.ReadByte(); err != nil {
			if err == io.EOF {
				return nil, 0, fmt.Errorf("line %d: the event that begins here is cut off; remove it, or record again", begin)
			}
			return nil, 0, fmt.Errorf("line %d: %w", s.line, err)
		}
		if s.buf.Len() >= s.limit {
			return nil, 0, fmt.Errorf("line %d: the event that begins here is larger than %d MiB; record fewer objects in one list", begin, s.limit>>20)
		}
		s.buf.WriteByte(b)
		if b == '\n' {
			if state != outside {
				return nil, 0, fmt.Errorf("line %d: a string is not closed on its line; cut the recording before it, or record again", s.line)
			}
			s.line++
		}
		depth += state.step(b)
	}
	return s.buf.Bytes(), begin, nil
}

// gap skips white space between objects and, at the start, a byte order mark.
func (s *splitter) gap() (byte, error) {
	if bom, _ := s.in.Peek(3); s.line == 1 && s.buf.Len() == 0 && bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = s.in.Discard(3)
	}
	for {
		b, err := s.in.ReadByte()
		if err == io.EOF {
			return 0, err
		} else if err != nil {
			return 0, fmt.Errorf("line %d: %w", s.line, err)
		}
		switch b {
		case '\n':
			s.line++
		case ' ', '\t', '\r':
		default:
			return b, nil
		}
	}
}

// stringState is whether a byte is in a JSON string.
type stringState int

const (
	outside stringState = iota // not in a string
	inside
	escaped // right after a backslash
)

// step moves over one byte and returns by how much it changes the depth.
func (s *stringState) step(b byte) int {
	switch {
	case *s == escaped:
		*s = inside
	case *s == inside && b == '\\':
		*s = escaped
	case b == '"':
		*s = inside - *s // outside becomes inside, and the reverse
	case *s == outside && b == '{':
		return 1
	case *s == outside && b == '}':
		return -1
	}
	return 0
}
