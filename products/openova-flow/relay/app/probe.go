package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/relay/rules"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// ErrNotTaken is the error of a Probe that has already printed why a channel did not take a notice.
var ErrNotTaken = errors.New("a channel did not take a notice")

// Probe sends to each channel a notice of each kind that the channel takes, opened and resolved, and prints each result. It sends no revisions: they need a
// commit. client is for the channels; nil: channel.NewClient.
func Probe(ctx context.Context, c *rules.Config, client *http.Client, out io.Writer) error {
	if client == nil {
		client = channel.NewClient()
	}
	names := make([]string, 0, len(c.Channels))
	for name := range c.Channels {
		names = append(names, name)
	}
	slices.Sort(names)
	var failed error
	now := time.Now().UnixMilli()
	for _, name := range names {
		sender := newSender(c.Channels[name], client)
		notices := slices.DeleteFunc(samples(now), func(n notice.Notice) bool {
			s, chooses := sender.(channel.Chooser)
			return chooses && !s.Takes(n.Kind)
		})
		if len(notices) == 0 {
			if _, err := fmt.Fprintf(out, "%s: not tried: it takes only revisions\n", name); err != nil {
				return err
			}
		}
		for _, n := range notices {
			var m volatile
			for _, phase := range []notice.Phase{notice.Opened, notice.Resolved} {
				n.Phase, n.N = phase, n.N+1
				if phase == notice.Resolved {
					n.Until, n.At = now, now+1
				}
				bounded, cancel := context.WithTimeout(ctx, time.Minute)
				err := sender.Send(bounded, channel.Delivery{Rule: "test", Notice: n}, &m)
				cancel()
				result := "taken"
				if err != nil {
					result, failed = terminal.Text(err.Error(), 500), ErrNotTaken
				}
				if _, err := fmt.Fprintf(out, "%s: %s %s: %s\n", name, n.Kind, phase, result); err != nil {
					return err
				}
			}
		}
	}
	return failed
}

// volatile is a channel.Memory that is lost when the program ends.
type volatile []byte

func (m *volatile) Get() []byte            { return *m }
func (m *volatile) Set(value []byte) error { *m = value; return nil }

// samples returns a notice of each kind except revisions. The text of the root cause has characters that a channel must escape.
func samples(now int64) []notice.Notice {
	base := notice.Notice{At: now, Severity: notice.Warning, Flows: []string{"test"}, Regions: []string{"test"}, Since: now - 90_000}
	sample := func(kind notice.Kind, label, sentence string) notice.Notice {
		n := base
		n.Kind, n.Label, n.Sentence = kind, label, sentence
		n.Key = string(kind) + "/test"
		n.Episode = fmt.Sprintf("%s@%d", n.Key, now)
		return n
	}
	cause := sample(notice.KindCause, "example", "This is a test. A root cause looks like this: <b> & @here are shown as they are.")
	cause.Object, cause.Class, cause.Command = "HelmRelease/test/example", "install-failed", []string{"kubectl", "-n", "test", "describe", "helmrelease", "example"}
	source := sample(notice.KindSource, "example", "This is a test of a source that cannot be read.")
	source.Object, source.Class = "GitRepository/test/example", "git-operation-failed"
	region := sample(notice.KindRegion, "test", "This is a test of a stale region.")
	run := sample(notice.KindRollout, "test", "This is a test of a rollout.")
	run.Severity, run.Rollout = notice.Info, &notice.Rollout{ID: "test", Outcome: "succeeded", Total: 1, Done: 1, Members: []notice.Member{}}
	return []notice.Notice{run, cause, source, region}
}
