package app

import (
	"testing"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/relay/rules"
)

func TestDesks_ReadRolloutsHorizon(t *testing.T) {
	for _, c := range []struct {
		name  string
		state notice.State
		want  int64
	}{
		{"before the first look", notice.State{}, 499},
		{"none handled", notice.State{Since: 100}, 99},
		{"one handled", notice.State{Since: 100, Ended: map[string]int64{"f": 200}}, 200},
	} {
		all := desks{list: []*desk{{rule: &rules.Rule{}, state: c.state}}}
		if got, wanted := all.readRollouts("f", 500); !wanted || got != c.want {
			t.Errorf("%s: %d, %v; want %d", c.name, got, wanted, c.want)
		}
	}
}
