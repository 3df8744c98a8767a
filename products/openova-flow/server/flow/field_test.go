package flow_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// fields decodes JSON with EachField and EachElement. The result has the form that json.Unmarshal returns, but scalars are
// their texts.
func fields(text string) any {
	switch text[0] {
	case '{':
		object := make(map[string]any)
		flow.EachField(flow.Object(text), func(key, value string) { object[key] = fields(value) })
		return object
	case '[':
		list := []any{}
		flow.EachElement(text, func(value string) bool { list = append(list, fields(value)); return true })
		return list
	}
	return text
}

// texts decodes JSON with json.Unmarshal, and replaces scalars by their texts.
func texts(t testing.TB, text []byte) any {
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) == nil && object != nil {
		all := make(map[string]any)
		for key, value := range object {
			all[key] = texts(t, value)
		}
		return all
	}
	var list []json.RawMessage
	if json.Unmarshal(text, &list) == nil && list != nil {
		all := []any{}
		for _, value := range list {
			all = append(all, texts(t, value))
		}
		return all
	}
	return string(text)
}

var walked = []string{
	`{}`, `[]`, ` { } `, `{"a":1}`, `{"a":"b","c":[1,2,{"d":null}],"e":{}}`, "{ \"a\" :\t[ 1 , 2 ] ,\n\"b\" : true , \"c\":-1.5e3 }",
	`{"a\u0062":"\"","\\":"\\","\"":"\\\"","c":"\\\\"}`, `["}","]","{","[",",",":","\"}"]`, `[[[]],[{}],{"a":[{}]}]`, `["",""]`, `{"":""}`,
	`[ "a" , "b" ]`, `[false,true,null,0,-0]`, `{"a":{"b":{"c":["\\"]}}}`,
}

func TestEachField_EqualsEncodingJSON(t *testing.T) {
	for _, text := range walked {
		if got, want := fields(trimmed(text)), texts(t, []byte(trimmed(text))); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, want %#v", text, got, want)
		}
	}
	n := 0
	flow.EachElement(`[1,2,3]`, func(value string) bool { n++; return value != "2" })
	if n != 2 {
		t.Errorf("%d elements were read, want 2", n)
	}
}

func TestEachField_TerminatesOnInvalidJSON(t *testing.T) {
	for _, text := range walked {
		for i := range text {
			for _, broken := range []string{text[:i], text[i:], text[:i] + text[i+1:], text[:i] + `"` + text[i:], text[:i] + `\` + text[i:]} {
				flow.EachField(flow.Object(broken), func(string, string) {})
				flow.EachElement(broken, func(string) bool { return true })
			}
		}
	}
}

func FuzzEachField(f *testing.F) {
	for _, text := range walked {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := flow.Decode("F", append(append([]byte(`{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"l","status":"s","meta":{"m":`), text...), `}}]}`...))
		if err != nil {
			flow.EachField(flow.Object(text), func(string, string) {})
			flow.EachElement(string(text), func(string) bool { return true })
			return
		}
		meta := []byte(m.Nodes[0].Meta)
		if got, want := fields(string(meta)), texts(t, meta); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, want %#v", meta, got, want)
		}
	})
}

func trimmed(s string) string {
	var b json.RawMessage
	_ = json.Unmarshal([]byte(s), &b)
	return string(b)
}
