package app

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/follow"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/relay/rules"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// after is how long, in milliseconds, a dry run continues after the last message, for notices that are due later.
const after = 10 * 60_000

type recorded struct {
	At      int64           `json:"at"`
	Message json.RawMessage `json:"message"`
}

// DryRun prints the notices that would be sent for a recording: the answer of GET /v1/flows/{flowId}/events, or lines with {"at":…,"message":…}.
func DryRun(c *rules.Config, recording io.Reader, out io.Writer) error {
	messages, err := readRecording(recording)
	if err != nil {
		return fmt.Errorf("read the recording: %w", err)
	}
	flowID := flowOf(messages)
	frames := follow.NewFlows()
	state, rollouts, revisions := flow.NewState(flowID, 0), rollout.NewTracker(), revision.NewTracker()
	printed := &printer{out: out}
	desks, err := newDesks(c, printed, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(desks.list, func(d *desk) bool { return d.rule.ReadsFlow(flowID) }) {
		return fmt.Errorf("no rule applies to flow %s of the recording; add the flow to the flows of a rule", flowID)
	}
	lookedAt := int64(0)
	look := func(now int64, changed bool) {
		f := frames.Get(flowID)
		if f == nil || !changed && now-lookedAt < lookAnyway {
			desks.look(now, false)
			return
		}
		if horizon, wanted := desks.readRollouts(flowID, now); wanted {
			f.Rollouts = slices.DeleteFunc(rollouts.Rollouts(now), func(r rollout.Rollout) bool { return !r.EndedAt.IsZero() && r.EndedAt.Ms() <= horizon })
		}
		if desks.readRevisions(flowID) {
			f.FollowRevisions(desks.readRevisionsOf)
			f.Revisions, f.RevisionsOutdated = revisions.Revisions(nil, follow.MaxRevisions), false
		}
		desks.found[flowID], lookedAt = f.Find(now), now
		desks.look(now, true)
	}
	for i, r := range messages {
		m, err := flow.Decode(flowID, r.Message)
		if err != nil {
			return fmt.Errorf("message %d of the recording: %w", i+1, err)
		}
		state.Apply(m)
		rollouts.Observe(state, r.At, m.Nodes, m.IDs)
		revisions.Observe(r.At, m.Nodes, m.IDs)
		if err := frames.Apply(follow.Frame{Flow: flowID, Event: string(m.Type), Data: r.Message}, r.At); err != nil {
			return err
		}
		until := r.At + after
		if i+1 < len(messages) {
			until = messages[i+1].At
		}
		if until-r.At < lookEvery.Milliseconds() && r.At-lookedAt < lookEvery.Milliseconds() {
			continue
		}
		for now, changed := r.At, true; now < until; now, changed = now+lookEvery.Milliseconds(), false {
			if look(now, changed); printed.err != nil {
				return fmt.Errorf("print the notices: %w", printed.err)
			}
		}
	}
	return nil
}

func readRecording(in io.Reader) ([]recorded, error) {
	var all []recorded
	for d := json.NewDecoder(in); ; {
		var value struct {
			recorded
			Base   json.RawMessage `json:"base"`
			Events []recorded      `json:"events"`
		}
		err := d.Decode(&value)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if value.Base != nil && len(value.Events) > 0 {
			all = append(all, recorded{value.Events[0].At, value.Base})
		}
		all = append(all, value.Events...)
		if value.Message != nil {
			all = append(all, value.recorded)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no messages; allowed: an answer of GET /v1/flows/{flowId}/events, or lines with {\"at\":…,\"message\":…}")
	}
	slices.SortStableFunc(all, func(a, b recorded) int { return cmp.Compare(a.At, b.At) })
	return all, nil
}

// flowOf returns the flow of the first message that names one, or "recording".
func flowOf(messages []recorded) string {
	for _, r := range messages {
		var m struct {
			Flow  struct{ ID string }
			Nodes []struct{ FlowID string }
		}
		if json.Unmarshal(r.Message, &m) != nil { // Decode returns a better error
			continue
		}
		if m.Flow.ID != "" {
			return m.Flow.ID
		}
		if len(m.Nodes) > 0 && m.Nodes[0].FlowID != "" {
			return m.Nodes[0].FlowID
		}
	}
	return "recording"
}

// printer is a store that prints the notices. It keeps the first error of out, since desks only log the errors of a store, and prints nothing after it.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) State(string) (notice.State, error) { return notice.State{}, nil }

func (p *printer) Room(string) int { return math.MaxInt }

func (p *printer) Commit(_, _, channel string, c notice.Change) error {
	for i := range c.Notices {
		if p.err == nil {
			_, p.err = io.WriteString(p.out, line(channel, &c.Notices[i]))
		}
	}
	return p.err
}

func line(channel string, n *notice.Notice) string {
	var b strings.Builder
	show := func(s string) string { return terminal.Text(s, 2000) }
	fmt.Fprintf(&b, "%s %s %s: %s: %s.", time.UnixMilli(n.At).UTC().Format("15:04:05"), channel, n.Phase, show(n.Title()), show(n.Status()))
	if n.Sentence != "" {
		b.WriteString(" " + show(n.Sentence))
	}
	b.WriteByte('\n')
	for _, f := range n.Facts() {
		fmt.Fprintf(&b, "           %s: %s\n", f.Name, show(f.Value))
	}
	if n.Link != "" {
		fmt.Fprintf(&b, "           %s\n", show(n.Link))
	}
	return b.String()
}
