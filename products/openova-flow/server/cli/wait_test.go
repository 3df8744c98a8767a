package cli

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
)

func TestWait_JSONWithoutAnswerHasEmptyLists(t *testing.T) {
	var out strings.Builder
	err := Program{}.Run(t.Context(), []string{"wait", "--url=http://127.0.0.1:1", "--flow=F", "--timeout=1ms", "--output=json"}, env(), &out, io.Discard)
	if err != waitTimedOut {
		t.Fatal(err)
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out.String()), &answer); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"objects", "problems", "sources", "stale", "missing"} {
		if got := string(answer[list]); got != "[]" {
			t.Errorf("%s is %s, want []", list, got)
		}
	}
}
