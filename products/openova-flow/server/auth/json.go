package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const maxDepth = 16 // of what is read here nothing comes near it

// parseJSON reads one JSON value: objects as map[string]any, numbers as json.Number. It refuses what readers of JSON disagree about:
// duplicate keys and broken UTF-8. Its errors hold nothing of the data but the names of keys.
func parseJSON(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not valid UTF-8")
	}
	if !json.Valid(data) {
		return nil, notJSON(data)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return parseValue(d, 0)
}

// notJSON says where data ceases to be JSON.
func notJSON(data []byte) error {
	var syntax *json.SyntaxError
	var v json.RawMessage
	if err := json.Unmarshal(data, &v); errors.As(err, &syntax) {
		line := 1 + bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte{'\n'})
		return fmt.Errorf("not JSON, see line %d", line)
	}
	return errors.New("not JSON")
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, errors.New("not JSON")
	}
	if _, ok := t.(json.Delim); ok && depth == maxDepth {
		return nil, errors.New("nested too deep")
	}
	switch t {
	case json.Delim('{'):
		m := make(map[string]any)
		for d.More() {
			key, err := d.Token()
			name, ok := key.(string)
			if err != nil || !ok {
				return nil, errors.New("not JSON")
			}
			if _, twice := m[name]; twice {
				return nil, fmt.Errorf("the key %s is there twice in one object", short(name))
			}
			if m[name], err = parseValue(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err = d.Token()
		return m, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	}
	return t, nil
}

// reader takes values out of parsed JSON and keeps the first thing that is wrong. It repeats no values: one may be a secret in the
// wrong place.
type reader struct{ err error }

func (r *reader) fail(path, format string, args ...any) {
	if r.err == nil {
		r.err = errors.New(strings.TrimPrefix(path, ".") + ": " + fmt.Sprintf(format, args...))
	}
}

// object is v as an object that has no other than these keys.
func (r *reader) object(path string, v any, keys ...string) map[string]any {
	m, ok := v.(map[string]any)
	if !ok {
		r.fail(path, "an object is needed")
		return nil
	}
	for key := range m {
		if !slices.Contains(keys, key) {
			r.fail(path+"."+key, "there is no such key; allowed are %s", strings.Join(keys, ", "))
		}
	}
	return m
}

// text is the string of a key, empty when the key is not there.
func (r *reader) text(path string, m map[string]any, key string) string {
	v, there := m[key]
	s, ok := v.(string)
	if there && (!ok || s == "") {
		r.fail(path+"."+key, "a string is needed that is not empty")
	}
	return s
}

// need is the string of a key that must be there.
func (r *reader) need(path string, m map[string]any, key string) string {
	if _, there := m[key]; !there {
		r.fail(path+"."+key, "is missing")
	}
	return r.text(path, m, key)
}

// texts are the strings of a key, nil when it is not there; there is at least one, and none twice.
func (r *reader) texts(path string, m map[string]any, key string) []string {
	v, there := m[key]
	if !there {
		return nil
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		r.fail(path+"."+key, "a list of strings is needed, at least one")
		return nil
	}
	texts := make([]string, len(list))
	for i := range list {
		texts[i], ok = list[i].(string)
		at := fmt.Sprintf("%s.%s[%d]", path, key, i)
		switch {
		case !ok || texts[i] == "":
			r.fail(at, "a string is needed that is not empty")
		case slices.Contains(texts[:i], texts[i]):
			r.fail(at, "is there twice")
		}
	}
	return texts
}

// list are the elements of a key, nil when it is not there.
func (r *reader) list(path string, m map[string]any, key string) []any {
	v, there := m[key]
	list, ok := v.([]any)
	if there && !ok {
		r.fail(path+"."+key, "a list is needed")
	}
	return list
}
