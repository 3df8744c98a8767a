package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

func TestWhoReadsThePastSlowlyKeepsNobodyElseFromIt(t *testing.T) {
	e := guard(t, hub.Config{}, httpapi.Config{}, "")
	const past = "/v1/flows/F/events"
	meta := strings.Repeat("x", 60<<10)
	for i := range 120 { // more than sockets take by themselves
		e.as(admin, "POST", past, fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"n%d","flowId":"F","label":"l","status":"x","meta":{"m":"%s"}}]}`, i, meta))
	}
	slow := 0
	for status := http.StatusOK; status == http.StatusOK; slow++ {
		if slow > 20 {
			t.Fatal("as many answers about the past as one likes are under way at once")
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", e.url+past, nil)
		req.Header.Set("Authorization", reader.bearer()[1])
		resp, err := e.client.Do(req) // and reads no more than the head
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		status = resp.StatusCode
	}
	for _, who := range []entry{admin, onlyF} {
		if a := e.as(who, "GET", past, ""); a.status != http.StatusOK {
			t.Errorf("%d of another are under way or refused, %s: %d %s", slow, who.name, a.status, a.body)
		}
	}
}
