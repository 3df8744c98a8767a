// Package conductor replays recordings in a cluster: it creates, changes and deletes the recorded objects through the API
// server, and writes the recorded statuses to their status subresource. It records the resulting states in a truth.History.
package conductor

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/openova-io/openova/test/e2e/plane"
	"github.com/openova-io/openova/test/e2e/truth"
)

// Event is one line of a recording.
type Event struct {
	At     int64        `json:"at"` // Unix milliseconds
	Type   string       `json:"type"`
	Object plane.Object `json:"object"`
}

// Read reads a recording.
func Read(file string) ([]Event, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	var all []Event
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", file, len(all)+1, err)
		}
		all = append(all, e)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: line %d: %w", file, len(all)+1, err)
	}
	return all, nil
}

// Conductor replays in one cluster. It is not safe for concurrent use.
type Conductor struct {
	History *truth.History
	region  string
	api     *plane.Client
	last    map[string]plane.Object // the last replayed version of each object, by path
}

// New returns a Conductor for a region. api is a client of its API server.
func New(region string, api *plane.Client) *Conductor {
	return &Conductor{truth.NewHistory(region), region, api, map[string]plane.Object{}}
}

// WithClient returns a Conductor with another client of the same cluster. Both share one state and one History.
func (c *Conductor) WithClient(api *plane.Client) *Conductor {
	return &Conductor{c.History, c.region, api, c.last}
}

// RecordLoss records that the cluster has lost every object.
func (c *Conductor) RecordLoss() {
	for path, o := range c.last {
		delete(c.last, path)
		c.lost(o)
	}
}

func (c *Conductor) lost(o plane.Object) {
	if shown(o) {
		c.History.Lost(o)
	}
}

// shown reports whether the adapter makes a node of an object.
func shown(o plane.Object) bool {
	kind, _ := o["kind"].(string)
	return slices.Contains(truth.Kinds, kind)
}

// Play replays events at speed times the recorded speed, or slower if the API server takes longer.
func (c *Conductor) Play(ctx context.Context, events []Event, speed float64) error {
	began := time.Now()
	for _, e := range events {
		due := began.Add(time.Duration(float64(e.At-events[0].At) / speed * float64(time.Millisecond)))
		timer := time.NewTimer(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		if err := c.Apply(ctx, e); err != nil {
			meta := e.Object["metadata"].(plane.Object)
			return fmt.Errorf("%s: %s %v %v: %w", c.region, e.Type, e.Object["kind"], meta["name"], err)
		}
	}
	return nil
}

// Apply replays one event.
func (c *Conductor) Apply(ctx context.Context, e Event) error {
	kind, namespace, name := identity(e.Object)
	path := plane.Path(kind, namespace, name)
	before, exists := c.last[path]
	if e.Type == "DELETED" {
		return c.remove(ctx, path, e.Object)
	}
	if exists && uid(before) != uid(e.Object) { // created again, without an event for its deletion
		if err := c.remove(ctx, path, before); err != nil {
			return err
		}
		exists = false
	}
	if !exists {
		if err := c.create(ctx, kind, namespace, e.Object); err != nil {
			return err
		}
		before = plane.Object{"metadata": e.Object["metadata"], "spec": e.Object["spec"]}
	}
	c.last[path] = e.Object
	deleting := at(e.Object, "metadata", "deletionTimestamp") != nil
	var changes []plane.Object
	for _, field := range []string{"labels", "annotations", "finalizers"} {
		if field == "finalizers" && deleting {
			continue // removing the last finalizer deletes the object, which is an event of its own
		}
		if is, was := at(e.Object, "metadata", field), at(before, "metadata", field); !reflect.DeepEqual(is, was) {
			changes = append(changes, set("/metadata/"+field, is))
		}
	}
	if is, was := e.Object["spec"], before["spec"]; !reflect.DeepEqual(is, was) {
		changes = append(changes, set("/spec", is))
	}
	if len(changes) > 0 {
		if err := c.write(ctx, http.MethodPatch, path, plane.JSONPatch, changes); err != nil {
			return err
		}
	}
	if deleting && (!exists || at(before, "metadata", "deletionTimestamp") == nil) {
		if err := c.write(ctx, http.MethodDelete, path, "", nil); err != nil {
			return err
		}
	}
	if is, was := e.Object["status"], before["status"]; is != nil && !reflect.DeepEqual(is, was) {
		return c.write(ctx, http.MethodPatch, path+"/status", plane.JSONPatch, []plane.Object{set("/status", is)})
	}
	return nil
}

// set returns a JSON Patch operation that sets a field, whether or not the field exists.
func set(path string, value any) plane.Object {
	return plane.Object{"op": "add", "path": path, "value": value}
}

func (c *Conductor) create(ctx context.Context, kind, namespace string, o plane.Object) error {
	meta := plane.Object{}
	for _, field := range []string{"name", "namespace", "labels", "annotations", "finalizers"} {
		if v := at(o, "metadata", field); v != nil {
			meta[field] = v
		}
	}
	return c.write(ctx, http.MethodPost, plane.Path(kind, namespace, ""), plane.JSON,
		plane.Object{"apiVersion": o["apiVersion"], "kind": kind, "metadata": meta, "spec": o["spec"]})
}

// remove removes an object's finalizers, as its controller would, and deletes it.
func (c *Conductor) remove(ctx context.Context, path string, o plane.Object) error {
	delete(c.last, path)
	if at(o, "metadata", "finalizers") != nil || at(o, "metadata", "deletionTimestamp") != nil {
		err := c.write(ctx, http.MethodPatch, path, plane.JSONPatch, []plane.Object{set("/metadata/finalizers", nil)})
		if err != nil && !plane.IsCode(err, http.StatusNotFound) {
			return err
		}
	}
	_, err := c.api.Do(ctx, http.MethodDelete, path, "", nil)
	if err != nil && !plane.IsCode(err, http.StatusNotFound) {
		return err
	}
	c.lost(o)
	return nil
}

// write changes an object and records the API server's result.
func (c *Conductor) write(ctx context.Context, method, path, contentType string, body any) error {
	answer, err := c.api.Do(ctx, method, path, contentType, body)
	if err == nil && shown(answer) {
		c.History.Saw(answer)
	}
	return err
}

func identity(o plane.Object) (kind, namespace, name string) {
	kind, _ = o["kind"].(string)
	namespace, _ = at(o, "metadata", "namespace").(string)
	name, _ = at(o, "metadata", "name").(string)
	return kind, namespace, name
}

func uid(o plane.Object) any { return at(o, "metadata", "uid") }

func at(o plane.Object, path ...string) any {
	var v any = o
	for _, p := range path {
		m, _ := v.(plane.Object)
		v = m[p]
	}
	return v
}
