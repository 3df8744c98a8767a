package rules_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/relay/rules"
)

// schema is a part of the chart's schema.
type schema struct {
	Properties           map[string]schema
	AdditionalProperties any
	Items                *schema
}

// TestConfig_EqualsTheSchemaOfTheChart compares the fields of the configuration with flowRelay.config of the chart. The chart sets the field server itself.
func TestConfig_EqualsTheSchemaOfTheChart(t *testing.T) {
	text, err := os.ReadFile("../../../../platform/openova-flow-server/chart/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root schema
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	compare(t, "config", root.Properties["flowRelay"].Properties["config"], reflect.TypeFor[rules.Config](), "server")
}

func compare(t *testing.T, field string, s schema, typ reflect.Type, except ...string) {
	t.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ.Kind() {
	case reflect.Slice:
		if s.Items == nil {
			t.Errorf("%s: no items", field)
			return
		}
		compare(t, field+"[]", *s.Items, typ.Elem())
	case reflect.Map:
		inner, err := json.Marshal(s.AdditionalProperties)
		if err != nil {
			t.Fatal(err)
		}
		var of schema
		if err := json.Unmarshal(inner, &of); err != nil {
			t.Errorf("%s: %v", field, err)
		}
		compare(t, field+".*", of, typ.Elem())
	case reflect.Struct:
		if s.AdditionalProperties != false {
			t.Errorf("%s: other properties are allowed", field)
		}
		var names []string
		for i := range typ.NumField() {
			name := typ.Field(i).Tag.Get("yaml")
			if slices.Contains(except, name) {
				continue
			}
			names = append(names, name)
			part, ok := s.Properties[name]
			if !ok {
				t.Errorf("%s: no %s", field, name)
				continue
			}
			compare(t, field+"."+name, part, typ.Field(i).Type)
		}
		if len(s.Properties) != len(names) {
			t.Errorf("%s: the schema has %d properties, the configuration %d", field, len(s.Properties), len(names))
		}
	}
}
