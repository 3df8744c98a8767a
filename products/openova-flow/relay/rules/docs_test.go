package rules_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/openova-io/openova/products/openova-flow/relay/rules"
)

const docs = "../../../../docs/"

func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(docs + page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocs_ConfigurationNamesEveryField compares the table of docs/configuration.md with the fields of the file.
func TestDocs_ConfigurationNamesEveryField(t *testing.T) {
	_, table, _ := strings.Cut(read(t, "configuration.md"), "<!-- relay-config -->\n")
	table, _, _ = strings.Cut(table, "<!-- /relay-config -->")
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(table, -1) {
		listed = append(listed, m[1])
	}
	want := fields("", reflect.TypeFor[rules.Config]())
	if !slices.Equal(listed, want) {
		t.Errorf("it lists %q\nwant %q", listed, want)
	}
}

// fields returns the paths of all values of a type.
func fields(path string, typ reflect.Type) (all []string) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct:
		return fields(path+"[]", typ.Elem())
	case typ.Kind() == reflect.Map && typ.Elem().Kind() == reflect.Struct:
		return fields(path+".*", typ.Elem())
	case typ.Kind() == reflect.Struct:
		for i := range typ.NumField() {
			all = append(all, fields(strings.TrimPrefix(path+"."+typ.Field(i).Tag.Get("yaml"), "."), typ.Field(i).Type)...)
		}
		return all
	}
	return []string{path}
}

// TestDocs_ExamplesAreValid parses the YAML of docs/notifications.md.
func TestDocs_ExamplesAreValid(t *testing.T) {
	page := read(t, "notifications.md")
	blocks := regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```").FindAllStringSubmatch(page, -1)
	if len(blocks) < 5 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, b := range blocks {
		text := regexp.MustCompile("(?m)^"+b[1]).ReplaceAllString(b[2], "")
		var given map[string]any
		if err := yaml.Unmarshal([]byte(text), &given); err != nil {
			t.Fatal(err)
		}
		// An example of channels needs a rule, and one of rules the channels.
		whole := text
		if given["server"] == nil {
			whole += "\nserver: {url: \"http://x\"}\n"
		}
		if given["rules"] == nil {
			for name := range given["channels"].(map[string]any) {
				whole += "\nrules: [{name: x, channels: [" + name + "]}]\n"
			}
		}
		if given["channels"] == nil {
			whole += "\nchannels: {pager: {otel: {url: \"http://x\"}}, team: {otel: {url: \"http://x\"}}}\n"
		}
		if _, err := rules.Parse([]byte(whole)); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}
