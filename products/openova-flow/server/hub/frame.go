package hub

import (
	"bytes"
	"strconv"
)

// appendFrame appends a Server-Sent Events frame, without an id if seq is 0. data is JSON on one line.
func appendFrame[T string | []byte](dst []byte, seq int64, event string, data T) []byte {
	dst = appendHead(dst, seq, "", event)
	dst = append(dst, data...)
	return append(dst, "\n\n"...)
}

// appendHead appends a frame up to its data: an id of seq and mark, or none if seq is 0, and an event of the given parts.
func appendHead(dst []byte, seq int64, mark string, event ...string) []byte {
	if seq != 0 {
		dst = append(dst, "id: "...)
		dst = strconv.AppendInt(dst, seq, 10)
		dst = append(append(dst, mark...), '\n')
	}
	dst = append(dst, "event: "...)
	for _, part := range event {
		dst = append(dst, part...)
	}
	return append(dst, "\ndata: "...)
}

// frameWriter encodes events as frames, in as few slices as possible.
type frameWriter struct {
	mark string // Selection.Mark
	out  [][]byte
	buf  []byte
}

func (w *frameWriter) head(seq int64, t *topic, kind string) {
	w.buf = appendHead(w.buf, seq, w.mark, t.id, "/", kind)
}

func (w *frameWriter) event(seq int64, e event) {
	switch e.kind {
	case snapshotEvent: // the encoded state is shared by all readers
		e.snapshot.encode()
		w.head(seq, e.topic, "snapshot")
		w.out = append(w.out, w.buf, e.snapshot.tail())
		w.buf = nil
	case deletedEvent:
		w.head(seq, e.topic, "deleted")
		w.buf = append(w.buf, "{}\n\n"...)
	default:
		_, kind, _ := bytes.Cut(e.frame[:e.data], []byte("event: "))
		kind, _, _ = bytes.Cut(kind, []byte{'\n'})
		w.head(seq, e.topic, string(kind))
		w.buf = append(w.buf, e.frame[e.data:]...)
	}
}

// regions appends a regions frame, unless the flow was deleted.
func (w *frameWriter) regions(t *topic) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if !t.deleted {
		w.head(0, t, "regions")
		w.buf = append(append(w.buf, t.regions().data...), "\n\n"...)
	}
}

func (w *frameWriter) frames() [][]byte {
	if len(w.buf) > 0 {
		w.out = append(w.out, w.buf)
	}
	return w.out
}
