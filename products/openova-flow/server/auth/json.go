package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

const maxDepth = 16 // far more than any valid input has

// parseJSON parses one JSON value: objects as map[string]any, numbers as json.Number. It rejects duplicate keys and invalid UTF-8,
// which parsers treat differently. Its errors contain names of keys, but no values.
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

// notJSON returns an error with the line at which data is not JSON.
func notJSON(data []byte) error {
	var syntax *json.SyntaxError
	var v json.RawMessage
	if err := json.Unmarshal(data, &v); errors.As(err, &syntax) {
		line := 1 + bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte{'\n'})
		return fmt.Errorf("not JSON, see line %d", line)
	}
	return errors.New("not JSON")
}

// mayBeToken reports whether a key may be a token in the wrong place, of this program or from elsewhere: all known keys are far shorter.
func mayBeToken(key string) bool { return strings.Contains(key, tokenPrefix) || len(key) >= 24 }

func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, errors.New("not JSON")
	}
	if _, ok := t.(json.Delim); ok && depth == maxDepth {
		return nil, errors.New("nested too deeply")
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
				if mayBeToken(name) {
					return nil, errors.New("a key, which may be a token and is not shown, appears twice in one object")
				}
				return nil, fmt.Errorf("the key %s appears twice in one object", short(name))
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

// reader reads fields of parsed JSON and keeps the first error. Errors contain no values, since a value may be a secret in the
// wrong field.
type reader struct{ err error }

// fail keeps an error about a field; with an empty path, about the whole input.
func (r *reader) fail(path, format string, args ...any) {
	if r.err != nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	if path = strings.TrimPrefix(path, "."); path != "" {
		text = path + ": " + text
	}
	r.err = errors.New(text)
}

// object returns v as an object, which may have only these keys.
func (r *reader) object(path string, v any, keys ...string) map[string]any {
	m, ok := v.(map[string]any)
	if !ok {
		r.fail(path, "must be a JSON object")
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		switch allowed := strings.Join(keys, ", "); {
		case slices.Contains(keys, key):
		case mayBeToken(key):
			r.fail(path, "unknown key, which may be a token and is not shown; allowed: %s", allowed)
		default:
			r.fail(fmt.Sprintf("%s.%s", path, key), "unknown key; allowed: %s", allowed)
		}
	}
	return m
}

// text returns the string of a key, empty if it is absent.
func (r *reader) text(path string, m map[string]any, key string) string {
	v, present := m[key]
	s, ok := v.(string)
	if present && (!ok || s == "") {
		r.fail(path+"."+key, "must be a non-empty string")
	}
	return s
}

// need returns the string of a required key.
func (r *reader) need(path string, m map[string]any, key string) string {
	if _, present := m[key]; !present {
		r.fail(path+"."+key, "is missing")
	}
	return r.text(path, m, key)
}

// texts returns the strings of a key, nil if it is absent. An empty list and duplicates are errors.
func (r *reader) texts(path string, m map[string]any, key string) []string {
	v, present := m[key]
	if !present {
		return nil
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		r.fail(path+"."+key, "must be a list of at least one string")
		return nil
	}
	texts := make([]string, len(list))
	for i := range list {
		texts[i], ok = list[i].(string)
		at := fmt.Sprintf("%s.%s[%d]", path, key, i)
		switch {
		case !ok || texts[i] == "":
			r.fail(at, "must be a non-empty string")
		case slices.Contains(texts[:i], texts[i]):
			r.fail(at, "appears twice")
		}
	}
	return texts
}

// list returns the elements of a key, nil if it is absent.
func (r *reader) list(path string, m map[string]any, key string) []any {
	v, present := m[key]
	list, ok := v.([]any)
	if present && !ok {
		r.fail(path+"."+key, "must be a list")
	}
	return list
}
