// Package redact removes secrets from texts and objects that leave a cluster. It does no I/O.
package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Mark replaces a secret.
const Mark = "REDACTED"

// leastSecret is the minimum length of a value that is searched for in other texts. Shorter values are common words and numbers.
const leastSecret = 6

// patterns find secrets by their form. A pattern is tried only if the text, in lower case, contains one of its hints.
var patterns = []struct {
	hints []string
	find  *regexp.Regexp
	put   string
}{
	{[]string{"private key-----"}, regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`), Mark},
	{[]string{"@"}, regexp.MustCompile(`\b([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/@:"'<>]*:[^\s/@"'<>]+|[^\s/@:"'<>]{8,})@`), "${1}" + Mark + "@"},
	{[]string{"bearer", "basic"}, regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}`), "${1} " + Mark},
	{[]string{"eyj"}, regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`), Mark},
	{[]string{"akia", "asia"}, regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`), Mark},
	{[]string{"gh", "github_pat_", "glpat", "xox"}, regexp.MustCompile(`\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}|\bxox[a-z]-[A-Za-z0-9-]{10,}`), Mark},
	{[]string{"ofl_", "hvs.", "npm_", "dckr_pat_", "sk_live_", "aiza", "age-secret-key-"}, regexp.MustCompile(`\b(?:ofl_|hvs\.|npm_|dckr_pat_|sk_live_|AIza|AGE-SECRET-KEY-)[A-Za-z0-9_-]{16,}`), Mark},
	{[]string{"pass", "secret", "api", "access", "private"}, regexp.MustCompile(`(?i)((?:pass(?:word|wd|phrase)|client[-_]?secret|api[-_]?key|access[-_]?key|private[-_]?key)["']?\s*[:=]\s*)(?:'[^'\n]+'|"[^"\n]+")`), "${1}" + Mark},
	{[]string{"pass", "secret", "api", "access", "private"}, regexp.MustCompile(`(?i)((?:pass(?:word|wd|phrase)|client[-_]?secret|api[-_]?key|access[-_]?key|private[-_]?key)[\\"']*\s*[:=]\s*[\\"']*)[^\s"'\\,;&})\]]+`), "${1}" + Mark},
	{[]string{"token", "secret", "sig", "x-amz"}, regexp.MustCompile(`(?i)((?:token|secret|sig|signature|x-amz-[a-z-]+)(?:=|[\\"']+\s*:\s*[\\"']+))[^\s"'\\,;&})\]]+`), "${1}" + Mark},
}

// Text returns s with Mark in place of possible secrets: credentials in URLs, tokens, private keys, values of names such as password.
func Text(s string) string {
	lower := strings.ToLower(s)
	for _, p := range patterns {
		if slices.ContainsFunc(p.hints, func(hint string) bool { return strings.Contains(lower, hint) }) {
			s = p.find.ReplaceAllString(s, p.put)
		}
	}
	return s
}

// hidden are the fields under spec with values that may be secrets: inputs of charts, patches and templates.
var hidden = []string{"values", "postBuild", "patches", "patchesStrategicMerge", "patchesJson6902", "postRenderers", "inputs", "resources", "resourcesTemplate", "defaultValues"}

// Object returns a copy of u without secrets. Mark replaces every input of charts, patches and templates, every annotation except Flux's own, and possible
// secrets (Text). It also replaces these values where messages quote them, plain or encoded, unless they are shorter than six bytes or also elsewhere in
// metadata or spec, such as a name. Keys and structure are kept.
func Object(u *unstructured.Unstructured) *unstructured.Unstructured {
	u = u.DeepCopy()
	var secrets []string
	hide := func(m map[string]any, keep func(key string) bool) {
		for k, v := range m {
			if !keep(k) {
				m[k] = mask(v, &secrets)
			}
		}
	}
	if spec, ok := u.Object["spec"].(map[string]any); ok {
		hide(spec, func(k string) bool { return !slices.Contains(hidden, k) })
		if inner, ok := spec["kustomize"].(map[string]any); ok { // a FluxInstance
			hide(inner, func(string) bool { return false })
		}
		created := []any{spec["commonMetadata"]}
		if chart, ok := spec["chart"].(map[string]any); ok {
			created = append(created, chart["metadata"])
		}
		for _, v := range created {
			if meta, ok := v.(map[string]any); ok {
				hide(meta, func(k string) bool { return k != "annotations" })
			}
		}
	}
	if meta, ok := u.Object["metadata"].(map[string]any); ok {
		if annotations, ok := meta["annotations"].(map[string]any); ok {
			hide(annotations, func(k string) bool { return strings.Contains(k, "fluxcd.io/") })
		}
	}
	visible := map[string]bool{Mark: true}
	addStrings(u.Object["metadata"], visible)
	addStrings(u.Object["spec"], visible)
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return visible[s] })
	u.Object = scan("", u.Object, replacer(secrets)).(map[string]any)
	return u
}

// addStrings adds every string in v to a set.
func addStrings(v any, set map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			addStrings(item, set)
		}
	case []any:
		for _, item := range v {
			addStrings(item, set)
		}
	case string:
		set[v] = true
	}
}

// mask returns v with Mark in place of every value. It adds to secrets the values, their lines, and in each line the text after the first colon or equals
// sign, if they have at least leastSecret bytes.
func mask(v any, secrets *[]string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = mask(item, secrets)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = mask(item, secrets)
		}
		return out
	case int64:
		return mask(strconv.FormatInt(v, 10), secrets)
	case float64:
		return mask(strconv.FormatFloat(v, 'f', -1, 64), secrets)
	case string:
		if len(v) >= leastSecret {
			*secrets = append(*secrets, v) // an encoding contains the whole value
		}
		for line := range strings.Lines(v) { // a message quotes single lines
			for _, s := range []string{strings.TrimSpace(line), strings.TrimSpace(line[strings.IndexAny(line, ":=")+1:])} {
				if s = strings.Trim(s, `"'`); len(s) >= leastSecret {
					*secrets = append(*secrets, s)
				}
			}
		}
	}
	return Mark
}

// replacer replaces the secrets by Mark, plain and in every encoding that a message may have.
func replacer(secrets []string) *strings.Replacer {
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // longest first, since one may be the prefix of another
	var pairs []string
	for _, s := range slices.Compact(secrets) {
		quoted, _ := json.Marshal(s) // a string always marshals
		for _, form := range []string{
			s, inQuotes(string(quoted)), inQuotes(strconv.Quote(s)), inQuotes(strconv.QuoteToASCII(s)), strings.ReplaceAll(s, "'", "''"), url.QueryEscape(s), url.PathEscape(s), html.EscapeString(s), hex.EncodeToString([]byte(s)),
			base64.StdEncoding.EncodeToString([]byte(s)), base64.RawStdEncoding.EncodeToString([]byte(s)), base64.URLEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)),
		} {
			pairs = append(pairs, form, Mark)
		}
	}
	return strings.NewReplacer(pairs...)
}

// texts are the fields whose text may quote a value.
var texts = []string{"message", "description", "url"}

// scan removes possible secrets from every string in v, and the known secrets from the fields in texts. field is the name of v.
func scan(field string, v any, known *strings.Replacer) any {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			v[k] = scan(k, item, known)
		}
		return v
	case []any:
		for i, item := range v {
			v[i] = scan(field, item, known)
		}
		return v
	case string:
		if slices.Contains(texts, field) {
			v = known.Replace(v)
		}
		return Text(v)
	}
	return v
}

// inQuotes returns s without its first and last byte.
func inQuotes(s string) string { return s[1 : len(s)-1] }
