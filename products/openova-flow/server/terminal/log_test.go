package terminal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
)

const hostile = "a\x1b[2J\u009b2J\u202e\u3164\xff\n::error::b ##[error]c"

// checkSafe fails if Text would change a line of text.
func checkSafe(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); Text(line, len(line)) != line {
			t.Errorf("not safe: %q", line)
		}
	}
}

func TestAttr_MakesLogLinesSafe(t *testing.T) {
	type named struct{ Name string }
	for format, logger := range map[string]func(*bytes.Buffer, *slog.HandlerOptions) slog.Handler{
		"json": func(b *bytes.Buffer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(b, o) },
		"text": func(b *bytes.Buffer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(b, o) },
	} {
		t.Run(format, func(t *testing.T) {
			var out bytes.Buffer
			log := slog.New(logger(&out, &slog.HandlerOptions{ReplaceAttr: Attr}))
			log.With("with", hostile).Warn(hostile, "text", hostile, "err", errors.New(hostile), "list", []string{hostile}, "struct", named{hostile},
				slog.Group("group", "text", hostile), "long", strings.Repeat("x", 50_000))
			if lines := strings.Count(out.String(), "\n"); lines != 1 {
				t.Errorf("%d lines", lines)
			}
			checkSafe(t, out.String())
			if out.Len() > 2*LogLimit || !strings.Contains(out.String(), ellipsis) {
				t.Errorf("%d bytes", out.Len())
			}
		})
	}
}

func TestAttr_LeavesOrdinaryLinesUnchanged(t *testing.T) {
	var lines [2]bytes.Buffer
	for i, replace := range []func([]string, slog.Attr) slog.Attr{nil, Attr} {
		log := slog.New(slog.NewJSONHandler(&lines[i], &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			if replace != nil {
				return replace(groups, a)
			}
			return a
		}}))
		log.Warn("a message", "text", `größer "x" \ 数据`, "n", 5, "took", time.Second, "yes", true, "err", errors.New("no such file"))
	}
	if lines[0].String() != lines[1].String() {
		t.Errorf("%s%s", &lines[0], &lines[1])
	}
}

func TestPrintError_WritesALineForEachJoinedError(t *testing.T) {
	one, two := errors.New("one\n::error::x"), errors.New("two")
	for _, c := range []struct {
		err  error
		want string
	}{
		{two, "p: two\n"},
		{one, `p: one\n::error::x` + "\n"},
		{errors.Join(errors.Join(one, two), two), `p: one\n::error::x` + "\np: two\np: two\n"},
		{fmt.Errorf("%w and %w", two, two), "p: two and two\n"},
		{fmt.Errorf("both: %w", errors.Join(two, two)), `p: both: two\ntwo` + "\n"},
	} {
		var out strings.Builder
		if PrintError(&out, "p", c.err); out.String() != c.want {
			t.Errorf("%q, want %q", out.String(), c.want)
		}
	}
}

func TestJSON_EscapesAndKeepsTheValue(t *testing.T) {
	for _, text := range []string{"", "plain größer", "\x7f\u0085\u009b2J\u202e\u200b\u3164\U000e0041\U000e0101 ##[x] ###", "\u2028🚀"} {
		in := "{\n\t\"k\": " + `"` + text + `"` + "}\r\n"
		out := JSON(in)
		var got, want any
		if err := errors.Join(json.Unmarshal([]byte(in), &want), json.Unmarshal([]byte(out), &got)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v", out, err)
		}
		checkSafe(t, strings.ReplaceAll(out, "\t", ""))
	}
	const plain = `{"k":["größer", 1, "#1"]}`
	if got := JSON(plain); got != plain {
		t.Errorf("%q", got)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add(`{"a":"\u001b` + "\u009b\xff\U000e0041" + `##"}` + "\n")
	f.Fuzz(func(t *testing.T, s string) {
		var want, got any
		if json.Unmarshal([]byte(s), &want) != nil {
			return
		}
		out := JSON(s)
		if err := json.Unmarshal([]byte(out), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q became %q: %v", s, out, err)
		}
		checkSafe(t, strings.NewReplacer("\n", " ", "\t", " ").Replace(out))
	})
}

func TestJSONWriter_ReturnsTheInputLength(t *testing.T) {
	var out bytes.Buffer
	in := []byte("\"\u009b\"\n")
	if n, err := JSONWriter(&out).Write(in); n != len(in) || err != nil || out.String() != `"\u009b"`+"\n" {
		t.Errorf("%d %v %q", n, err, &out)
	}
}
