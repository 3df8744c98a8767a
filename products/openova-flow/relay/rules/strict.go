package rules

import (
	"encoding"
	"errors"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// unknownFields returns an error for each field of a document that the type of into lacks, with path and line. It also rejects
// aliases, and other values where a mapping of fields or a list is needed.
func unknownFields(root *yaml.Node, into any) error {
	if root.Kind != yaml.DocumentNode || len(root.Content) == 0 {
		return errors.New("the file is empty")
	}
	return unknown(root.Content[0], reflect.TypeOf(into), "")
}

func unknown(node *yaml.Node, t reflect.Type, field string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if node.Kind == yaml.AliasNode {
		return fault(at(field, node), "aliases are not allowed")
	}
	own := reflect.PointerTo(t)
	if own.Implements(reflect.TypeFor[yaml.Unmarshaler]()) || own.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return nil
	}
	var errs []error
	switch {
	case t.Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		known := make(map[string]reflect.Type)
		for i := range t.NumField() {
			known[t.Field(i).Tag.Get("yaml")] = t.Field(i).Type
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			path := strings.TrimPrefix(field+"."+key.Value, ".")
			if known[key.Value] == nil {
				errs = append(errs, fault(at(path, key), "unknown field; allowed: %s", strings.Join(sortedKeys(known), ", ")))
				continue
			}
			errs = append(errs, unknown(value, known[key.Value], path))
		}
	case t.Kind() == reflect.Map && node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			errs = append(errs, unknown(node.Content[i+1], t.Elem(), field+"."+node.Content[i].Value))
		}
	case t.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		for i, value := range node.Content {
			errs = append(errs, unknown(value, t.Elem(), field+"["+strconv.Itoa(i)+"]"))
		}
	case t.Kind() == reflect.Struct && !isNull(node):
		errs = append(errs, fault(at(field, node), "must be a mapping"))
	case t.Kind() == reflect.Slice && !isNull(node):
		errs = append(errs, fault(at(field, node), "must be a list"))
	}
	return errors.Join(errs...)
}

func isNull(node *yaml.Node) bool { return node.Tag == "!!null" }

func at(field string, node *yaml.Node) string {
	return strings.TrimSpace(field + " (line " + strconv.Itoa(node.Line) + ")")
}
