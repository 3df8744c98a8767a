package httpapi_test

import (
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

func TestRefused_OneLogLineWithStatusAndField(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"field":      {`{"type":"upsert-nodes","nodes":[{"id":"r1/a","flowId":"F","label":"a","status":7}]}`, []string{"status=400", "field=nodes[0].status"}},
		"type":       {`{"type":"nonsense"}`, []string{"status=400", "field=type", "nonsense"}},
		"escapes":    {`{"type":"\u001b]0;x\u0007\u202e\nlevel=ERROR"}`, []string{"field=type", `x1b]0;x`}},
		"long":       {`{"type":"` + long + `"}`, []string{"field=type"}},
		"long field": {`{"type":"upsert-nodes","nodes":[{"` + long + `":1,"` + long + `":1}]}`, []string{"status=400"}},
		"limit":      {`{"type":"upsert-nodes","nodes":[{"id":"r1/a","flowId":"F","label":"a","region":"r1","status":"s","meta":{"secret":"hidden` + long + `"}}]}`, []string{"status=429", "meta", "1000"}},
		"not JSON":   {`{"type":"upsert-nodes","nodes":[{"meta":{"password":hidden}}]}`, []string{"status=400"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := guard(t, hub.Config{MaxMetaBytes: 1000}, httpapi.Config{}, "")
			e.as(ofR1, "POST", "/v1/flows/F/events", c.body)
			var line string
			for l := range strings.Lines(e.log.String()) {
				if strings.Contains(l, `msg="message refused"`) {
					line += l
				}
			}
			if len(line) > 1200 || strings.Count(line, "\n") != 1 || strings.ContainsAny(line, "\x1b\a\u202e") || strings.Contains(line, "hidden") {
				t.Errorf("%d bytes: %q", len(line), line)
			}
			for _, want := range append(c.want, "detail=") {
				if !strings.Contains(line, want) {
					t.Errorf("%q is not in %s", want, line)
				}
			}
		})
	}
}

// TestRefused_PreconditionIsNoWarning sends a request for another incarnation, as an emitter does after the flow was deleted.
func TestRefused_PreconditionIsNoWarning(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "")
	a := e.do("POST", "/v1/flows/F/events", upsertOf("F", "r1/a", "r1"), append(ofR1.bearer(), "Content-Type", asJSON, "Flow-If-Incarnation", "another")...)
	if log := e.log.String(); a.status != 412 || strings.Contains(log, "level=WARN") || !strings.Contains(log, "level=INFO") || !strings.Contains(log, "status=412") {
		t.Errorf("%d and\n%s", a.status, log)
	}
}
