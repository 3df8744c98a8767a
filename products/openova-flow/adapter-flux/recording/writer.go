package recording

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Writer writes a recording, one event on each line. It is not safe for concurrent use.
type Writer struct{ out *json.Encoder }

// NewWriter returns a Writer, which calls w.Write once for each event.
func NewWriter(w io.Writer) *Writer {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &Writer{out: enc}
}

// Write writes one event without managed fields and the last applied configuration, which are large and not used. It keeps everything else, including
// chart values. It does not modify the object.
func (w *Writer) Write(ev mapping.Event) error {
	if ev.Object == nil {
		return fmt.Errorf("%s event without an object", ev.Type)
	}
	line := struct {
		At     flow.Time      `json:"at,omitzero"`
		Type   string         `json:"type"`
		Object map[string]any `json:"object"`
	}{ev.At, string(ev.Type), trim(ev.Object.Object)}
	return w.out.Encode(line)
}

func trim(object map[string]any) map[string]any {
	meta, ok := object["metadata"].(map[string]any)
	if !ok {
		return object
	}
	meta = maps.Clone(meta)
	delete(meta, "managedFields")
	if annotations, ok := meta["annotations"].(map[string]any); ok && annotations[lastApplied] != nil {
		annotations = maps.Clone(annotations)
		delete(annotations, lastApplied)
		meta["annotations"] = annotations
		if len(annotations) == 0 {
			delete(meta, "annotations")
		}
	}
	object = maps.Clone(object)
	object["metadata"] = meta
	return object
}
