package recording

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Rebase moves recorded times to another start and speed, so that a replay looks as if it happened now.
type Rebase struct {
	Recorded int64   // the recorded time, Unix ms, that becomes Start
	Start    int64   // Unix ms
	Speed    float64 // how many times faster time runs; 0 or less: the recorded speed
}

// Time moves an instant in Unix milliseconds.
func (r Rebase) Time(ms int64) int64 {
	elapsed := float64(ms - r.Recorded)
	if r.Speed > 0 {
		elapsed /= r.Speed
	}
	return r.Start + int64(elapsed)
}

// Object returns a copy in which every string that is an RFC 3339 time is moved. Moved times may have milliseconds.
func (r Rebase) Object(u *unstructured.Unstructured) *unstructured.Unstructured {
	moved, _ := r.value(u.Object).(map[string]any)
	return &unstructured.Unstructured{Object: moved}
}

func (r Rebase) value(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = r.value(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = r.value(item)
		}
		return out
	case string:
		if len(v) < len("2006-01-02T15:04:05Z") || v[4] != '-' || v[10] != 'T' {
			return v
		}
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return v
		}
		return time.UnixMilli(r.Time(t.UnixMilli())).UTC().Format("2006-01-02T15:04:05.999Z07:00")
	}
	return v
}
