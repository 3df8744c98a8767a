package watch

import (
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

type failingDiscovery struct{ err error }

func (d failingDiscovery) Versions(context.Context, schema.GroupVersionResource) ([]string, error) {
	return nil, d.err
}

func TestServed_ProblemNamesNoNamespace(t *testing.T) {
	p := served(t.Context(), failingDiscovery{errors.New("broken")}, Kinds[0])
	if p == nil || p.Class != Other || strings.Contains(p.Text, "namespace") || !strings.Contains(p.Text, "broken") {
		t.Errorf("problem: %+v", p)
	}
}
