package terminal

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestText_EscapesControlSequences(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing":              {"", ""},
		"plain":                {`Helm install failed for "a/b" \ timed out: 50%`, `Helm install failed for "a/b" \ timed out: 50%`},
		"other scripts":        {"größer 数据 עברית 🚀 é", "größer 数据 עברית 🚀 é"},
		"escape sequence":      {"\x1b[2J\x1b]0;title\a", `\x1b[2J\x1b]0;title\a`},
		"clipboard":            {"\x1b]52;c;eA==\a", `\x1b]52;c;eA==\a`},
		"line breaks":          {"a\nb\r\nc\u0085d\u2028e\u2029f\vg\fh", `a\nb\r\nc\u0085d\u2028e\u2029f\vg\fh`},
		"tab and no-break":     {"a\tb\u00a0c", `a\tb\u00a0c`},
		"C0 and DEL":           {"\x00\x08\x7f", `\x00\b\x7f`},
		"C1":                   {"\u009b2J\u009d0;t\u009c", `\u009b2J\u009d0;t\u009c`},
		"invalid UTF-8":        {"a\x9b\xffb\xe2\x80", `a\x9b\xffb\xe2\x80`},
		"replacement":          {"a\ufffdb", "a\ufffdb"},
		"bidi":                 {"\u202e\u2066\u2069\u200f\u061c", `\u202e\u2066\u2069\u200f\u061c`},
		"zero width":           {"a\u200bb\u200d\ufeff\u00ad\u2060", `a\u200bb\u200d\ufeff\u00ad\u2060`},
		"invisible letters":    {"\u3164\u115f\uffa0\u034f\ufe0f\U000e0101\U000e0041", `\u3164\u115f\uffa0\u034f\ufe0f\U000e0101\U000e0041`},
		"command":              {"::error file=a,line=1::x", `\x3a:error file=a,line=1::x`},
		"one colon":            {": error", `\x3a error`},
		"command, indented":    {"  ::error::x", `  \x3a:error::x`},
		"command after breaks": {"\n::error::x", `\n::error::x`},
		"colons later":         {"a::b", "a::b"},
		"old command":          {"##[error]x", `#\x23[error]x`},
		"old command, inside":  {"x ##vso[task.complete]", `x #\x23vso[task.complete]`},
		"many signs":           {"###[", `#\x23\x23[`},
		"one sign":             {"#1 a # b", "#1 a # b"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Text(c.in, 1000); got != c.want {
				t.Errorf("Text(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestText_CutsBetweenCharactersAndEscapes(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abc…"},
		{"ab数据", 8, "ab数据"},
		{"ab数据x", 8, "ab数…"},
		{"ab数据x", 7, "ab…"},
		{"ab\x1b\x1b", 9, `ab\x1b…`},
		{"ab\x1b\x1b", 8, "ab…"},
		{"abcd", 3, "…"},
		{"abc", 3, "abc"},
		{"abc", 2, ""},
		{"ab", 2, "ab"},
		{"a", 0, ""},
		{"a", -1, ""},
		{"", -1, ""},
		{"::a", 5, "…"},
	} {
		if got := Text(c.in, c.limit); got != c.want {
			t.Errorf("Text(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a", " ::error::x", "##[x]", "\x1b[2J\u009b\u202e\u200b\xff\n", "数据 🚀", "\u0130\u0345\u2028"} {
		for _, limit := range []int{-1, 0, 3, 8, 300} {
			f.Add(s, limit)
		}
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := Text(s, limit)
		if len(got) > max(limit, 0) {
			t.Fatalf("%d bytes, limit %d", len(got), limit)
		}
		if !utf8.ValidString(got) {
			t.Fatalf("invalid UTF-8 in %q", got)
		}
		for _, r := range got {
			if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || unicode.IsSpace(r) && r != ' ' {
				t.Fatalf("%U in %q", r, got)
			}
		}
		if strings.HasPrefix(strings.TrimSpace(got), ":") || strings.Contains(got, "##") {
			t.Fatalf("a command: %q", got)
		}
		if again := Text(got, limit); again != got {
			t.Fatalf("not idempotent: %q, then %q", got, again)
		}
		if plain := !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '#' || r == ':' }); plain && len(s) <= limit && got != s {
			t.Fatalf("%q was changed to %q", s, got)
		}
	})
}

func TestMarkdown_EscapesMarkup(t *testing.T) {
	for _, text := range []string{"*a*", "_a_", "`a`", "[a](b)", "<a>", "# a", "a | b", "~a~", "@a", "#1", "http://a", "$a$", `a\b`} {
		got := Markdown(text, 100)
		if plain := regexp.MustCompile(`\\([[:punct:]])`).ReplaceAllString(got, "$1"); plain != text {
			t.Errorf("%q: %q", text, got)
		}
		if rest := regexp.MustCompile(`\\[[:punct:]]`).ReplaceAllString(got, ""); strings.ContainsAny(rest, "*_`[]<>#|~@$\\:") {
			t.Errorf("%q: %q has %q unescaped", text, got, rest)
		}
	}
}
