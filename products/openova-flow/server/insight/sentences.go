package insight

import (
	_ "embed"
	"encoding/json"
	"strings"
)

// sentencesFile has the sentences and commands of problems that no judgement in meta describes. The package core has a copy; a test compares them.
//
//go:embed sentences.json
var sentencesFile []byte

// template is a sentence and a command with placeholders such as {name}.
type template struct {
	Sentence string   `json:"sentence"`
	Command  []string `json:"command"`
}

// kindWords are the names of a kind in commands of kubectl (Resource) and flux.
type kindWords struct {
	Resource string   `json:"resource"`
	Flux     []string `json:"flux"`
}

var sentences, kinds = readSentences()

func readSentences() (map[string]template, map[string]kindWords) {
	var file struct {
		Classes map[string]template
		Kinds   map[string]kindWords
	}
	if err := json.Unmarshal(sentencesFile, &file); err != nil {
		panic("insight: sentences.json: " + err.Error())
	}
	return file.Classes, file.Kinds
}

func (t template) sentence(values map[string]string) string { return fill(t.Sentence, values) }

// command returns the argv; nil if a value is unknown or would be an option. A part {flux} becomes several arguments.
func (t template) command(values map[string]string, flux []string) []string {
	var argv []string
	for _, part := range t.Command {
		if part == "{flux}" {
			if len(flux) == 0 {
				return nil
			}
			argv = append(argv, flux...)
			continue
		}
		if strings.HasPrefix(part, "{") {
			value := values[strings.Trim(part, "{}")]
			if value == "" || strings.HasPrefix(value, "-") {
				return nil
			}
			part = value
		}
		argv = append(argv, part)
	}
	return argv
}

// fill replaces placeholders by values. Braces inside a value are not replaced.
func fill(text string, values map[string]string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		var key string
		key, text, _ = strings.Cut(rest, "}")
		b.WriteString(values[key])
	}
}

// object is the Flux object of an id.
type object struct{ kind, namespace, name string }

// objectOf parses an id of the Flux adapter: <region>/<Kind>/<namespace>/<name>, or <region>/<namespace>/<name> for a HelmRelease, or
// <region>/<name> for a HelmRelease in flux-system.
func objectOf(region, id string) (o object, ok bool) {
	rest, ok := strings.CutPrefix(id, region+"/")
	if !ok || region == "" {
		return o, false
	}
	switch parts := strings.Split(rest, "/"); len(parts) {
	case 1:
		return object{"HelmRelease", "flux-system", parts[0]}, true
	case 2:
		return object{"HelmRelease", parts[0], parts[1]}, true
	case 3:
		return object{parts[0], parts[1], parts[2]}, true
	}
	return o, false
}

// ofOtherKind returns the other kind that a dependency can have, Kustomization for a HelmRelease and else HelmRelease, and the ids that an object of that
// kind with the same name may have.
func (o object) ofOtherKind(region string) (kind string, ids []string) {
	if o.kind == "HelmRelease" {
		return "Kustomization", []string{region + "/Kustomization/" + o.namespace + "/" + o.name}
	}
	ids = []string{region + "/" + o.namespace + "/" + o.name}
	if o.namespace == "flux-system" {
		ids = append(ids, region+"/"+o.name)
	}
	return "HelmRelease", ids
}
