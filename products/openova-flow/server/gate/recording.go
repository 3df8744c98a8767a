package gate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	// RecordingBytes is the default limit of the messages of a Recording together with the state before them.
	RecordingBytes = 16 << 20
	// pageMessages is the number of messages that one request asks for.
	pageMessages = 1000
)

// Recording has the messages of a flow that a server keeps. Regions, Rollouts and Revisions are the server's unchanged responses, or nil.
type Recording struct {
	At        int64           `json:"at"` // a time after the messages were read, by the server's clock if Regions has it; Unix milliseconds
	Regions   json.RawMessage `json:"regions"`
	Rollouts  json.RawMessage `json:"rollouts"`
	Revisions json.RawMessage `json:"revisions"`
	Pages     []Page          `json:"pages"`   // oldest first
	Dropped   int             `json:"dropped"` // number of oldest messages that were received and dropped: because of the limit, or of a gap after them
	Missing   []string        `json:"missing"` // the parts that were too large, or that the server did not provide: "regions", "rollouts", "revisions"
}

// Page is one answer of the server's endpoint for messages. Only the first page of a recording has a Base.
type Page struct {
	Base    json.RawMessage   `json:"base"`
	BaseSeq int64             `json:"baseSeq"`
	Events  []json.RawMessage `json:"events"`
	Oldest  int64             `json:"oldest"`
	Head    int64             `json:"head"`
}

// size returns the number of bytes of the messages.
func (p *Page) size() (n int) {
	for _, e := range p.Events {
		n += len(e)
	}
	return n
}

// Record returns a recording of the flow with at most limit bytes (0: RecordingBytes) of messages and the state before them. It drops the oldest messages
// first, a page at a time. Each other part may have a quarter of limit.
func (f *Follower) Record(ctx context.Context, limit int) (*Recording, error) {
	limit = cmp.Or(limit, RecordingBytes)
	r := &Recording{Missing: []string{}}
	if err := f.recordPages(ctx, r, limit); err != nil {
		return nil, err
	}
	r.At = time.Now().UnixMilli()
	for _, part := range []struct {
		name, path string
		into       *json.RawMessage
	}{{"regions", "regions", &r.Regions}, {"rollouts", "rollouts", &r.Rollouts}, {"revisions", "revisions?limit=1000", &r.Revisions}} {
		resp, err := f.get(ctx, part.path, "")
		switch {
		case err != nil:
			return nil, err
		case resp.status != http.StatusOK || len(resp.body) > limit/4 || !json.Valid(resp.body):
			r.Missing = append(r.Missing, part.name)
		default:
			*part.into = resp.body
		}
	}
	var clock struct{ At int64 }
	if r.Regions != nil && json.Unmarshal(r.Regions, &clock) == nil {
		r.At = cmp.Or(clock.At, r.At)
	}
	return r, nil
}

// recordPages gets the messages, at least up to the newest one at the time of the first answer.
func (f *Follower) recordPages(ctx context.Context, r *Recording, limit int) error {
	var until, after int64
	for size := 0; ; {
		p, err := f.page(ctx, after)
		if err != nil {
			return err
		}
		until = cmp.Or(until, p.Head)
		r.Pages = append(r.Pages, *p)
		size += p.size()
		// Pages before a gap are dropped too: the server has dropped messages since its last response.
		for isGap := after > 0 && p.BaseSeq != after; len(r.Pages) > 0 && (size+len(r.Pages[0].Base) > limit || isGap && len(r.Pages) > 1); {
			size -= r.Pages[0].size()
			r.Dropped += len(r.Pages[0].Events)
			r.Pages = slices.Delete(r.Pages, 0, 1)
		}
		last := after
		if n := len(p.Events); n > 0 {
			if last, err = seqOf(p.Events[n-1]); err != nil {
				return fmt.Errorf("read the messages of flow %s: %w", f.Flow, err)
			}
		}
		if last <= after || last >= until {
			break
		}
		after = last
	}
	for i := range r.Pages {
		if i > 0 {
			r.Pages[i].Base = nil
		}
	}
	return nil
}

// page returns the first messages after a sequence number.
func (f *Follower) page(ctx context.Context, after int64) (*Page, error) {
	resp, err := f.get(ctx, "events?limit="+strconv.Itoa(pageMessages)+"&after="+strconv.FormatInt(after, 10), "")
	if err != nil {
		return nil, err
	}
	switch resp.status {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, fmt.Errorf("flow %s: %w", f.Flow, ErrNoFlow)
	default:
		return nil, resp.problem()
	}
	p := new(Page)
	if err := json.Unmarshal(resp.body, p); err != nil {
		return nil, fmt.Errorf("read the messages of flow %s: %w", f.Flow, err)
	}
	if len(p.Base) == 0 {
		return nil, fmt.Errorf("read the messages of flow %s: the response has no base", f.Flow)
	}
	return p, nil
}

func seqOf(event json.RawMessage) (int64, error) {
	var e struct{ Seq int64 }
	err := json.Unmarshal(event, &e)
	return e.Seq, err
}
