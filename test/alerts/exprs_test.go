package alerts

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

// check evaluates an expression at the last scrape, and returns the labels of its result. It fails if a metric is not served, or not with the labels in its selector
// and in the grouping of aggregations, and if there is no result.
func (s *served) check(t *testing.T, what, text string) (got []labels.Labels) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return nil
	}
	for _, selector := range selectors(expr) {
		for _, m := range selector.LabelMatchers {
			s.known(t, what, selector, m.Name)
		}
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if by, ok := n.(*parser.AggregateExpr); ok {
			for _, selector := range selectors(by) {
				for _, name := range by.Grouping {
					s.known(t, what, selector, name)
				}
			}
		}
		return nil
	})
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	query, err := engine.NewInstantQuery(t.Context(), s.storage, nil, text, s.at)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return nil
	}
	defer query.Close()
	vector, err := query.Exec(t.Context()).Vector()
	if err != nil || len(vector) == 0 {
		t.Errorf("%s: %s\nhas %d samples, %v", what, text, len(vector), err)
	}
	for _, sample := range vector {
		got = append(got, sample.Metric)
	}
	return got
}

// known fails unless the server serves a selector's metric with a label.
func (s *served) known(t *testing.T, what string, selector *parser.VectorSelector, label string) {
	t.Helper()
	if !s.labels[selector.Name][label] {
		t.Errorf("%s: %s is not served with the label %s", what, selector.Name, label)
	}
}

func selectors(n parser.Node) (all []*parser.VectorSelector) {
	parser.Inspect(n, func(n parser.Node, _ []parser.Node) error {
		if selector, ok := n.(*parser.VectorSelector); ok {
			all = append(all, selector)
		}
		return nil
	})
	return all
}

func TestRules_ExpressionsHaveResultsOnServedMetrics(t *testing.T) {
	s := scraped(t)
	for _, r := range rules(t) {
		s.check(t, r.Alert, r.Expr)
	}
}
