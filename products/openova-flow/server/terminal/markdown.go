package terminal

import "strings"

// Markdown is like Text, and also escapes characters that have a meaning in Markdown or HTML. The limit applies before
// these are escaped.
func Markdown(s string, limit int) string { return markdownEscapes.Replace(Text(s, limit)) }

var markdownEscapes = func() *strings.Replacer {
	var pairs []string
	for _, c := range "\\`*_{}[]()<>#+-!|~&:@.$" {
		pairs = append(pairs, string(c), "\\"+string(c))
	}
	return strings.NewReplacer(pairs...)
}()
