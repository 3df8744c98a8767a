package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Reader reads the events of a recording, one JSON value of at most 64 MiB at a time.
type Reader struct {
	values  *splitter
	pending []mapping.Event // remaining items of a list
	err     error           // returned by all later calls
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{values: newSplitter(r)} }

// Next returns the next event of a mapped kind, and io.EOF after the last. It skips bookmarks and other kinds. The items of a list, as kubectl prints it, are
// ADDED events. Other errors have the line. Later calls return the same error.
func (r *Reader) Next() (mapping.Event, error) {
	for len(r.pending) == 0 && r.err == nil {
		raw, line, err := r.values.next()
		if err == nil {
			if r.pending, err = events(raw); err != nil {
				err = located(err, raw, line)
			}
		}
		r.err = err
	}
	if r.err != nil {
		return mapping.Event{}, r.err
	}
	ev := r.pending[0]
	r.pending = r.pending[1:]
	return ev, nil
}

// located adds the line of the recording to an error in a value that begins on line.
func located(err error, raw []byte, line int) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at := min(int(syntax.Offset), len(raw))
		line += strings.Count(string(raw[:at]), "\n")
		return fmt.Errorf("line %d: not JSON: %w; cut the recording before it, or record again", line, err)
	}
	return fmt.Errorf("line %d: %w", line, err)
}

// events returns the events in one value of a recording.
func events(raw []byte) ([]mapping.Event, error) {
	var value map[string]any
	if err := utiljson.Unmarshal(raw, &value); err != nil {
		// A syntax error of utiljson is not a *json.SyntaxError, which has the offset.
		if again := json.Unmarshal(raw, &value); again != nil {
			err = again
		}
		return nil, err
	}
	if items, ok := value["items"].([]any); ok && value["object"] == nil {
		return listed(items, flow.Time{})
	}
	kind, ok := value["type"].(string)
	if !ok {
		if value["kind"] != nil {
			return nil, errors.New(`an object instead of an event: add --output-watch-events to the kubectl command`)
		}
		return nil, errors.New(`"type" is missing; an event is {"at": <Unix ms>, "type": "ADDED|MODIFIED|DELETED", "object": {…}}`)
	}
	at, err := instant(value["at"])
	if err != nil {
		return nil, err
	}
	object, ok := value["object"].(map[string]any)
	if !ok {
		return nil, errors.New(`"object" is not an object`)
	}
	switch t := mapping.EventType(kind); t {
	case mapping.Added, mapping.Modified, mapping.Deleted:
		if items, ok := object["items"].([]any); ok && object["metadata"] != nil && strings.HasSuffix(fmt.Sprint(object["kind"]), "List") {
			return listed(items, at)
		}
		return mapped(nil, at, t, object), nil
	case "BOOKMARK":
		return nil, nil
	case "ERROR":
		return nil, fmt.Errorf("the watch ended with an error (%v); remove this event to replay the others", object["message"])
	}
	return nil, fmt.Errorf(`invalid "type" %q; allowed: ADDED, MODIFIED, DELETED, BOOKMARK`, kind)
}

func listed(items []any, at flow.Time) ([]mapping.Event, error) {
	var all []mapping.Event
	for i, item := range items {
		object, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("items[%d] is not an object", i)
		}
		all = mapped(all, at, mapping.Added, object)
	}
	return all, nil
}

func mapped(all []mapping.Event, at flow.Time, t mapping.EventType, object map[string]any) []mapping.Event {
	u := &unstructured.Unstructured{Object: object}
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	if !mapping.Maps(apiVersion, kind) {
		return all
	}
	return append(all, mapping.Event{At: at, Type: t, Object: u})
}

func instant(v any) (flow.Time, error) {
	switch ms := v.(type) {
	case nil:
		return flow.Time{}, nil
	case int64:
		return flow.At(ms), nil
	case float64:
		if ms == float64(int64(ms)) {
			return flow.At(int64(ms)), nil
		}
	}
	return flow.Time{}, fmt.Errorf(`invalid "at" %v; allowed: an integer, Unix milliseconds, or absent`, v)
}
