package rules

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// Defaults of a rule.
const (
	DefaultAfter       = time.Minute
	DefaultUpdateEvery = 30 * time.Second
)

// Limits returns the limits of the rule. page is the base URL of links.
func (r *Rule) Limits(page string) notice.Limits {
	l := notice.Limits{
		Severity: cmp.Or(r.Severity, notice.Info), Page: page,
		After:        r.After.or(DefaultAfter).Milliseconds(),
		ResolveAfter: r.ResolveAfter.or(DefaultAfter).Milliseconds(),
		UpdateEvery:  max(1, r.UpdateEvery.or(DefaultUpdateEvery).Milliseconds()),
	}
	if r.Quiet != nil {
		if h, err := r.Quiet.hours(); err == nil {
			l.Quiet, l.Wake = h.end, r.Quiet.Critical
		}
	}
	return l
}

// ReadsFlow reports whether the rule applies to notices of a flow.
func (r *Rule) ReadsFlow(flow string) bool {
	return len(r.Flows) == 0 || slices.ContainsFunc(r.Flows, func(pattern string) bool {
		ok, _ := path.Match(pattern, flow)
		return ok
	})
}

// Select returns those of the notices of a flow that have a kind and a region of the rule, without its other regions. It does not check the flow.
func (r *Rule) Select(found []notice.Notice) []notice.Notice {
	var selected []notice.Notice
	for _, n := range found {
		if !r.Reads(n.Kind) {
			continue
		}
		if len(r.Regions) > 0 {
			if !slices.ContainsFunc(n.Regions, r.ReadsRegion) {
				continue
			}
			n = n.In(r.ReadsRegion)
		}
		selected = append(selected, n)
	}
	return selected
}

// ReadsRegion reports whether the rule applies to notices of a region.
func (r *Rule) ReadsRegion(region string) bool {
	return len(r.Regions) == 0 || slices.Contains(r.Regions, region)
}

// hours are parsed quiet hours.
type hours struct {
	from, to time.Duration // since midnight; to is greater than from
	location *time.Location
	days     []time.Weekday // empty: all
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// hours parses quiet hours. The error begins with the field.
func (q *Quiet) hours() (*hours, error) {
	h := &hours{location: time.UTC}
	var err error
	if h.from, err = timeOfDay(q.From); err != nil {
		return nil, fmt.Errorf(".from: %w", err)
	}
	if h.to, err = timeOfDay(q.To); err != nil {
		return nil, fmt.Errorf(".to: %w", err)
	}
	if h.to <= h.from {
		h.to += 24 * time.Hour
	}
	if h.location, err = time.LoadLocation(q.Timezone); err != nil {
		return nil, fmt.Errorf(".timezone: %w; allowed: a name such as Europe/Berlin", err)
	}
	for i, day := range q.Days {
		at := slices.Index(weekdays, strings.ToLower(day))
		if at < 0 {
			return nil, fmt.Errorf(".days[%d]: invalid day %.100q; allowed: %s", i, day, strings.Join(weekdays, ", "))
		}
		h.days = append(h.days, time.Weekday(at))
	}
	return h, nil
}

func timeOfDay(text string) (time.Duration, error) {
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("invalid time of day %.100q; allowed: hours and minutes, such as 07:00", text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// end returns the end of the quiet hours that contain an instant, 0 if none do. Both are Unix milliseconds.
func (h *hours) end(at int64) int64 {
	now := time.UnixMilli(at).In(h.location)
	for _, daysAgo := range []int{1, 0} { // quiet hours that began yesterday or today
		y, m, d := now.Date()
		day := time.Date(y, m, d-daysAgo, 12, 0, 0, 0, h.location) // some days have no midnight
		if len(h.days) > 0 && !slices.Contains(h.days, day.Weekday()) {
			continue
		}
		// Date uses local time, also on days of 23 or 25 hours.
		atTime := func(of time.Duration) time.Time {
			return time.Date(day.Year(), day.Month(), day.Day(), int(of/time.Hour), int(of%time.Hour/time.Minute), 0, 0, h.location)
		}
		if from, to := atTime(h.from), atTime(h.to); !now.Before(from) && now.Before(to) {
			return to.UnixMilli()
		}
	}
	return 0
}

// Reads reports whether the rule applies to notices of a kind. A rule without kinds applies to all except revisions.
func (r *Rule) Reads(kind notice.Kind) bool {
	return len(r.Kinds) == 0 && kind != notice.KindRevision || slices.Contains(r.Kinds, kind)
}
