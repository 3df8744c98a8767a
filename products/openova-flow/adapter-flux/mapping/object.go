package mapping

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/redact"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Limits for reading an object. Real objects are far below; a hostile one must not slow down others.
const (
	maxList       = 4096     // entries of a list
	maxConditions = 64       // entries of status.conditions
	maxRead       = 32 << 10 // bytes of a condition's message; Kubernetes allows as many characters
	maxFinalizers = 16
	maxName       = 317 // bytes of a finalizer or reason: a DNS name, a slash and a label
)

// maxShown is the limit for entries of a list that putList writes.
const maxShown = 256

// fields is a JSON object of unknown content. Its methods return the zero value for a field that is absent or of another type.
type fields map[string]any

func (f fields) object(name string) fields {
	m, _ := f[name].(map[string]any)
	return m
}

func (f fields) string(name string) string {
	s, _ := f[name].(string)
	return s
}

func (f fields) bool(name string) bool {
	b, _ := f[name].(bool)
	return b
}

// list returns the first entries of a list, maxList at most.
func (f fields) list(name string) []any {
	l, _ := f[name].([]any)
	return l[:min(len(l), maxList)]
}

// int reads an integer of any type that a decoder may give it.
func (f fields) int(name string) (int64, bool) {
	switch n := f[name].(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	case float64:
		if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			return int64(n), true
		}
	case json.Number:
		i, err := n.Int64()
		return i, err == nil
	}
	return 0, false
}

func (f fields) time(name string) flow.Time {
	t, err := time.Parse(time.RFC3339Nano, f.string(name))
	if err != nil {
		return flow.Time{}
	}
	return flow.At(t.UnixMilli())
}

// condition is one entry of status.conditions (meta/v1 Condition).
type condition struct {
	status, reason, message string
	since                   flow.Time // lastTransitionTime
	generation              int64     // observedGeneration; 0 if it is absent
}

type conditions map[string]condition

func (c conditions) is(name string) bool { return c[name].status == "True" }

type key struct{ kind, namespace, name string }

// object has the fields that all Flux objects have in common.
type object struct {
	key
	uid          string
	generation   int64
	observed     int64 // status.observedGeneration
	hasObserved  bool
	deletedAt    flow.Time // metadata.deletionTimestamp
	finalizers   []string
	labels       fields
	meta         fields
	spec, status fields
	conditions   conditions
}

// identify reads the fields that are needed for the removal of an object.
func identify(u *unstructured.Unstructured) (object, error) {
	top := fields(u.Object)
	meta := top.object("metadata")
	o := object{
		key:  key{kind: top.string("kind"), namespace: meta.string("namespace"), name: meta.string("name")},
		meta: meta,
		uid:  meta.string("uid"),
	}
	if o.name == "" {
		return o, fmt.Errorf("%s without metadata.name", o.kind)
	}
	return o, nil
}

func parse(u *unstructured.Unstructured) (object, error) {
	o, err := identify(u)
	if err != nil {
		return o, err
	}
	top := fields(u.Object)
	o.generation, _ = o.meta.int("generation")
	o.deletedAt = o.meta.time("deletionTimestamp")
	o.labels = o.meta.object("labels")
	for _, f := range o.meta.list("finalizers") {
		if s, ok := f.(string); ok && len(o.finalizers) < maxFinalizers {
			o.finalizers = append(o.finalizers, cut(s, maxName))
		}
	}
	if o.spec = top.object("spec"); o.spec == nil {
		return o, o.malformed("spec", "an object")
	}
	o.status = top.object("status")
	if o.status == nil && top["status"] != nil {
		return o, o.malformed("status", "an object")
	}
	o.observed, o.hasObserved = o.status.int("observedGeneration")
	o.conditions, err = o.readConditions()
	return o, err
}

func (o object) readConditions() (conditions, error) {
	raw, there := o.status["conditions"]
	if !there || raw == nil {
		return nil, nil
	}
	list, ok := raw.([]any)
	if !ok {
		return nil, o.malformed("status.conditions", "a list")
	}
	all := conditions{}
	for i, entry := range list[:min(len(list), maxConditions)] {
		c, ok := entry.(map[string]any)
		if !ok {
			return nil, o.malformed(fmt.Sprintf("status.conditions[%d]", i), "an object")
		}
		f := fields(c)
		generation, _ := f.int("observedGeneration")
		all[f.string("type")] = condition{
			status: f.string("status"), reason: cut(f.string("reason"), maxName), message: redact.Text(cut(f.string("message"), maxRead)),
			since: f.time("lastTransitionTime"), generation: generation,
		}
	}
	return all, nil
}

func (o object) malformed(field, want string) error {
	return fmt.Errorf("%s %s/%s: %s is not %s", o.kind, o.namespace, o.name, field, want)
}

// stalled reports whether the controller has given up: Stalled is True and Ready, which may be newer, is not.
func (o object) stalled() bool { return o.conditions.is("Stalled") && !o.conditions.is("Ready") }

// maxMessage is the limit for a condition's message in a node, in bytes.
const maxMessage = 4 << 10

func clip(s string) string { return cut(s, maxMessage) }

// cut returns at most n bytes of s, cut between two characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
