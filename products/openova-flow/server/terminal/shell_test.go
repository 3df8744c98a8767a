package terminal

import (
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

// argvsOf returns the arguments that a real shell passes to the function `show` of each line. Its PATH has no programs, so nothing else can run.
func argvsOf(t *testing.T, lines []string) [][]string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-eu", "-c", "show() { printf '%s\\0' show \"$@\"; printf '\\n\\0'; }\n"+strings.Join(lines, "\n"))
	cmd.Env = []string{"PATH=/nonexistent"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for run := range strings.SplitSeq(strings.TrimSuffix(string(out), "\n\x00"), "\n\x00") {
		all = append(all, strings.Split(strings.TrimSuffix(run, "\x00"), "\x00"))
	}
	return all
}

func TestShell_QuotesSpecialCharacters(t *testing.T) {
	for _, c := range []struct {
		argv []string
		want string
	}{
		{[]string{"kubectl", "-n", "a", "get", "x", "-o", "jsonpath={.spec}"}, "kubectl -n a get x -o jsonpath='{.spec}'"},
		{[]string{"show", "it's", "", "a;b", "$(c)", "~", "=e", "ü"}, `show 'it'\''s' '' 'a;b' '$(c)' '~' '=e' 'ü'`},
	} {
		if got, ok := Shell(c.argv); !ok || got != c.want {
			t.Errorf("%q: %q", c.argv, got)
		}
	}
}

func TestShell_RejectsUnsafeArguments(t *testing.T) {
	for _, argv := range [][]string{nil, {""}, {"a b"}, {"PATH=/tmp", "x"}, {"-x"}, {"show", "-"}, {"show", "-;x"}, {"show", "---"}, {"show", strings.Repeat("x", 1025)},
		{"show", "a\nb"}, {"show", "a\x1bb"}, {"show", "--a=\u009b"}, {"show", "\u202e"}, {"show", "\u200b"}, {"show", "\u2028"}, {"show", "\xff"}, {"show", "\u3164"}} {
		if line, ok := Shell(argv); ok {
			t.Errorf("%q became %q", argv, line)
		}
	}
}

func TestShell_GivesAShellExactlyTheArguments(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	pieces := strings.Split("a|Z|0|-|--|_|.|/|:|=| |'|''|\"|\\|$|$(x)|`x`|${IFS}|;|&|<|>|(|)|{a,b}|[a]|*|?|!|~|#|%|^|@|,|+|é|日|🚀", "|")
	var lines []string
	var want [][]string
	for range 1000 {
		argv := []string{"show"}
		for range 1 + r.IntN(4) {
			arg := ""
			for range r.IntN(7) {
				arg += pieces[r.IntN(len(pieces))]
			}
			argv = append(argv, arg)
		}
		if line, ok := Shell(argv); ok {
			lines, want = append(lines, line), append(want, argv)
		}
	}
	if len(lines) < 300 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, got := range argvsOf(t, lines) {
		if strings.Join(got, "\x00") != strings.Join(want[i], "\x00") {
			t.Fatalf("%q gives %q, want %q", lines[i], got, want[i])
		}
	}
}
