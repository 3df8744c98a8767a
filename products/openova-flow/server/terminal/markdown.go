package terminal

import "strings"

// Markdown is Text for Markdown: characters that Markdown or HTML gives a meaning are escaped, so s does nothing but show itself. The limit is for the
// text before that.
func Markdown(s string, limit int) string { return markdownEscapes.Replace(Text(s, limit)) }

// markdownEscapes takes their meaning from characters that Markdown or HTML gives one.
var markdownEscapes = func() *strings.Replacer {
	var pairs []string
	for _, c := range "\\`*_{}[]()<>#+-!|~&:@." {
		pairs = append(pairs, string(c), "\\"+string(c))
	}
	return strings.NewReplacer(pairs...)
}()
