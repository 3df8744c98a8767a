package flow

import (
	"bytes"
	"errors"
	"strconv"
)

// ErrTooLarge is the error of a batch with a message over the size limit.
var ErrTooLarge = errors.New("message too large")

// DecodeBatch decodes messages posted to flow flowID, one per line (NDJSON). Blank lines are skipped but counted. maxMessage is
// the limit of one message in bytes; 0 means no limit. A batch without messages is an error. One invalid message makes the
// whole batch invalid: the error is then an *Error with the line, and matches ErrTooLarge if the message is over the limit.
func DecodeBatch(flowID string, data []byte, maxMessage int) ([]*Message, error) {
	return decodeBatch(flowID, data, maxMessage, Decode)
}

// DecodeStoredBatch decodes messages that were accepted before, as DecodeStored does.
func DecodeStoredBatch(flowID string, data []byte) ([]*Message, error) {
	return decodeBatch(flowID, data, 0, DecodeStored)
}

func decodeBatch(flowID string, data []byte, maxMessage int, decode func(string, []byte) (*Message, error)) ([]*Message, error) {
	var messages []*Message
	for line := 1; len(data) > 0; line++ {
		var text []byte
		text, data, _ = bytes.Cut(data, []byte{'\n'})
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if maxMessage > 0 && len(text) > maxMessage {
			return nil, &Error{Line: line, tooLarge: true, Msg: "a message may have at most " + strconv.Itoa(maxMessage) + " bytes, this one has " + strconv.Itoa(len(text))}
		}
		m, err := decode(flowID, text)
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				e.Line = line
			}
			return nil, err
		}
		m.Line = line
		messages = append(messages, m)
	}
	if len(messages) == 0 {
		return nil, &Error{Msg: "no message in the body"}
	}
	return messages, nil
}
