//go:build linux

package load

import "bytes"

// body extracts the data of a chunked or close-delimited body.
type body struct {
	chunked bool
	state   chunkState
	left    int // of the chunk
	ended   bool
}

type chunkState uint8

const (
	inSize chunkState = iota
	inData
	afterData
)

// maxChunk is the size above which a chunk ends the body.
const maxChunk = 1 << 40

// strip removes the chunk framing in place.
func (d *body) strip(b []byte) []byte {
	if !d.chunked {
		return b
	}
	out := 0
	for i := 0; i < len(b) && !d.ended; {
		switch d.state {
		case inSize:
			c := b[i]
			i++
			switch {
			case d.left > maxChunk:
				d.ended = true
			case c >= '0' && c <= '9':
				d.left = d.left<<4 | int(c-'0')
			case c|0x20 >= 'a' && c|0x20 <= 'f':
				d.left = d.left<<4 | int(c|0x20-'a'+10)
			case c == '\n' && d.left == 0:
				d.ended = true
			case c == '\n':
				d.state = inData
			}
		case inData:
			n := min(d.left, len(b)-i)
			out += copy(b[out:], b[i:i+n])
			i += n
			if d.left -= n; d.left == 0 {
				d.state = afterData
			}
		case afterData:
			if b[i] == '\n' {
				d.state = inSize
			}
			i++
		}
	}
	return b[:out]
}

// frame is one event of a stream. Its slices alias the read buffer.
type frame struct {
	id    int64 // 0: none
	event []byte
	data  []byte
}

// cutFrame parses the frame at the start of b; ok is false while it is incomplete.
func cutFrame(b []byte) (f frame, rest []byte, ok bool) {
	for at := 0; ; {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			return frame{}, b, false
		}
		line := b[at : at+n]
		at += n + 1
		if n == 0 {
			return f, b[at:], true
		}
		switch {
		case bytes.HasPrefix(line, []byte("data: ")):
			f.data = line[len("data: "):]
		case bytes.HasPrefix(line, []byte("id: ")):
			f.id = digits(line[len("id: "):])
		case bytes.HasPrefix(line, []byte("event: ")):
			f.event = line[len("event: "):]
		}
	}
}
