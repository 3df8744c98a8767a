package record

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// A saved state consists of lines of JSON:
//
// - the version;
//
// - for each flow, a head with the numbers of its lines, then these: instance, nodes, relationships, emitters, past rollouts, claims of regions. A flow
// that does not exist has only claims;
//
// - the number of flows, and the greatest sequence number assigned;
//
// - the SHA-256 of all lines before.

// stateVersion is the version that is written, and the latest that can be read.
const stateVersion = 1

// ErrNewerState is the error of a saved state that a newer version has written.
var ErrNewerState = errors.New("written by a newer version of the server")

// ErrLargeState is the error of a saved state over the reader's limit.
var ErrLargeState = errors.New("larger than the limits of this server")

// BeginsState reports whether begin, the first bytes of a file, may be those of a saved state, perhaps a
// truncated one.
func BeginsState(begin []byte) bool {
	const head = `{"openovaFlowState":`
	return string(begin[:min(len(begin), len(head))]) == head[:min(len(begin), len(head))]
}

type stateHead struct {
	Version int `json:"openovaFlowState"`
}

type stateFlow struct {
	Flow          string          `json:"flow"`
	Incarnation   string          `json:"incarnation"`
	Born          int64           `json:"born"`
	Last          int64           `json:"last"`
	UpdatedAt     int64           `json:"updatedAt"`
	LastActivity  int64           `json:"heard"`
	Arrival       int64           `json:"arrival"`
	DoneAt        int64           `json:"doneAt"`
	Described     bool            `json:"owned"`
	Nodes         int             `json:"nodes"`
	Relationships int             `json:"relationships"`
	Emitters      int             `json:"emitters"`
	PastRollouts  int             `json:"pastRollouts"`
	Claims        int             `json:"claims"`
	Rollouts      rollout.Memory  `json:"rollouts"`           // without Past, which has lines of its own
	Revisions     revision.Memory `json:"revisions,omitzero"` // in this line, since earlier versions ignore unknown fields but not unknown lines
}

type stateEmitter struct {
	Name        string `json:"name"`
	Raw         []byte `json:"raw,omitempty"` // the name if it is not UTF-8, which an HTTP header need not be
	Epoch       int64  `json:"epoch"`
	N           int64  `json:"n"`
	Digest      string `json:"digest"`
	Seq         int64  `json:"seq"`
	Incarnation string `json:"incarnation"`
	Region      string `json:"region,omitempty"`
}

type stateFoot struct {
	Flows   int   `json:"flows"`
	LastSeq int64 `json:"number"` // greatest sequence number assigned
}

func sumLine(sum hash.Hash) string { return `{"sha256":"` + hex.EncodeToString(sum.Sum(nil)) + `"}` }

// StateWriter writes a saved state.
type StateWriter struct {
	out   *bufio.Writer
	sum   hash.Hash
	flows int
	err   error
}

// NewStateWriter returns a StateWriter that writes to w. Close it.
func NewStateWriter(w io.Writer) *StateWriter {
	s := &StateWriter{sum: sha256.New()}
	s.out = bufio.NewWriterSize(io.MultiWriter(w, s.sum), 64<<10)
	s.object(stateHead{Version: stateVersion})
	return s
}

func (s *StateWriter) line(text string) {
	if s.err == nil {
		_, s.err = s.out.WriteString(text)
	}
	if s.err == nil {
		s.err = s.out.WriteByte('\n')
	}
}

func (s *StateWriter) object(v any) {
	text, err := json.Marshal(v)
	if err != nil && s.err == nil {
		s.err = err
	}
	s.line(string(text))
}

// Write writes one flow.
func (s *StateWriter) Write(c *Checkpoint) error {
	if c.Incarnation == NoIncarnation {
		s.object(stateFlow{Flow: c.FlowID, Incarnation: NoIncarnation, LastActivity: c.LastActivity, Claims: len(c.Claims)})
		s.claims(c)
		return s.err
	}
	m := *c.Content.Snapshot
	m.Nodes, m.Relationships = slices.Clone(m.Nodes), slices.Clone(m.Relationships)
	m.Sort()
	past := c.Rollouts.Past
	head := stateFlow{Flow: c.FlowID, Incarnation: c.Incarnation, Born: c.Born, Last: c.Seq, UpdatedAt: c.UpdatedAt, LastActivity: c.LastActivity,
		Arrival: c.Content.Arrival, DoneAt: c.Content.DoneAt, Described: c.Content.Described,
		Nodes: len(m.Nodes), Relationships: len(m.Relationships), Emitters: len(c.Emitters), PastRollouts: len(past), Claims: len(c.Claims), Rollouts: c.Rollouts, Revisions: c.Revisions}
	head.Rollouts.Past = nil
	s.object(head)
	s.line(m.Flow.JSON())
	for _, n := range m.Nodes {
		s.line(n.JSON())
	}
	for _, r := range m.Relationships {
		s.line(r.JSON())
	}
	for _, name := range slices.Sorted(maps.Keys(c.Emitters)) {
		w := c.Emitters[name]
		var raw []byte
		if !utf8.ValidString(name) {
			raw = []byte(name)
		}
		s.object(stateEmitter{Name: name, Raw: raw, Epoch: w.Stamp.Epoch, N: w.Stamp.N, Digest: hex.EncodeToString(w.Digest[:]), Seq: w.Receipt.Seq, Incarnation: w.Receipt.Incarnation,
			Region: w.Region})
	}
	for _, r := range past {
		s.object(r)
	}
	s.claims(c)
	return s.err
}

// claims writes the last lines of a flow, and counts the flow.
func (s *StateWriter) claims(c *Checkpoint) {
	for _, r := range c.Claims {
		s.object(r)
	}
	s.flows++
}

// Close writes the end of the state and flushes. lastSeq is the greatest sequence number assigned. Close does not close the underlying writer.
func (s *StateWriter) Close(lastSeq int64) error {
	s.object(stateFoot{Flows: s.flows, LastSeq: lastSeq})
	if s.err == nil {
		s.err = s.out.Flush()
	}
	s.line(sumLine(s.sum))
	if s.err == nil {
		s.err = s.out.Flush()
	}
	return s.err
}

// Unsaved is how many sequence numbers may have been assigned after the last save: more than a server assigns in a minute.
const Unsaved = 1 << 30

// Checkpoint is the complete state of a flow at one time. A restored flow treats every later message exactly as the original does.
// Only the ring is empty, so a subscriber that is behind gets a snapshot. For a flow that does not exist, Incarnation is NoIncarnation
// and only the claims of its regions are set. Times are in Unix milliseconds.
type Checkpoint struct {
	FlowID      string
	Incarnation string
	Seq         int64 // sequence number of the last message in it

	Born         int64 // first sequence number of the incarnation
	UpdatedAt    int64
	LastActivity int64 // last activity of an emitter
	Content      flow.Content
	Rollouts     rollout.Memory
	Revisions    revision.Memory
	Emitters     map[string]*LastRequest // by name
	Claims       []SavedClaim
}

// SavedClaim is a claim in a saved state. TTL is in milliseconds, the other times are Unix milliseconds.
type SavedClaim struct {
	Region   string `json:"region"`
	Cluster  string `json:"cluster"`
	Lease    string `json:"lease"`
	TTL      int64  `json:"ttl"`
	LastSeen int64  `json:"heard"`            // when it was last renewed
	Since    int64  `json:"since"`            // start of its current unbroken series of renewals
	Loaded   int64  `json:"loaded,omitempty"` // when a hub loaded it from a file; 0 once it is renewed
}

// SavedState is the decoded form of a saved state.
type SavedState struct {
	LastSeq int64 // greatest sequence number assigned
	Flows   []*Checkpoint
}

// ReadState reads a saved state, up to the end of r. On failure it returns nil and an error: ErrNewerState for a state of a newer version, else one with
// the line.
func ReadState(r io.Reader) (*SavedState, error) {
	return ReadLimitedState(r, math.MaxInt64)
}

// ReadLimitedState is ReadState with a limit in bytes. Beyond the limit it stops and returns an error that wraps ErrLargeState. The lines of instances, nodes
// and relationships count in full, others as a sixth, because JSON has up to six bytes for one in memory.
func ReadLimitedState(r io.Reader, limit int64) (*SavedState, error) {
	in := &stateReader{in: bufio.NewReaderSize(r, 64<<10), sum: sha256.New(), left: limit}
	s, err := in.state()
	if err != nil && !errors.Is(err, ErrNewerState) {
		return nil, fmt.Errorf("line %d: %w", in.lines, err)
	}
	return s, err
}

type stateReader struct {
	in    *bufio.Reader
	sum   hash.Hash
	lines int
	left  int64 // bytes left of the limit
}

// line returns the next line, adds it to the checksum and subtracts its bytes, divided by divisor, from the limit.
func (s *stateReader) line(divisor int) (string, error) {
	s.lines++
	var line []byte
	for {
		part, err := s.in.ReadSlice('\n')
		if s.left -= int64(len(part) / divisor); s.left < 0 {
			return "", ErrLargeState
		}
		if bytes.IndexByte(part, 0) >= 0 { // a file that was not written completely may have any number of zero bytes
			return "", errors.New("zero byte in the saved state, which is damaged")
		}
		line = append(line, part...)
		switch {
		case err == nil:
			s.sum.Write(line)
			return string(line[:len(line)-1]), nil
		case errors.Is(err, io.EOF):
			return "", errors.New("unexpected end of the saved state")
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

// Divisors of line.
const (
	elementLine = 1
	encodedLine = 6
)

func (s *stateReader) object(v any) error {
	text, err := s.line(encodedLine)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), v)
}

func (s *stateReader) state() (*SavedState, error) {
	var head stateHead
	if err := s.object(&head); err != nil {
		return nil, err
	}
	if head.Version > stateVersion {
		return nil, ErrNewerState
	}
	if head.Version < 1 {
		return nil, errors.New("not a saved state")
	}
	out, seen := new(SavedState), make(map[string]bool)
	for {
		line, err := s.line(encodedLine)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(line, `{"flows":`) {
			return out, s.foot(line, out)
		}
		var head stateFlow
		if err := json.Unmarshal([]byte(line), &head); err != nil {
			return nil, err
		}
		if head.Flow == "" || seen[head.Flow] {
			return nil, fmt.Errorf("want the first line of another flow, got one of flow %q", head.Flow)
		}
		seen[head.Flow] = true
		c, err := s.flow(head)
		if err != nil {
			return nil, fmt.Errorf("flow %q: %w", head.Flow, err)
		}
		out.Flows = append(out.Flows, c)
	}
}

func (s *stateReader) foot(line string, out *SavedState) error {
	var foot stateFoot
	if err := json.Unmarshal([]byte(line), &foot); err != nil {
		return err
	}
	want := sumLine(s.sum)
	end, err := s.line(encodedLine)
	if err != nil {
		return err
	}
	if end != want {
		return errors.New("checksum mismatch: the saved state is damaged")
	}
	if foot.Flows != len(out.Flows) {
		return fmt.Errorf("the saved state has %d flows, but its end counts %d", len(out.Flows), foot.Flows)
	}
	if _, err := s.in.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.New("unexpected data after the end of the saved state")
	}
	if out.LastSeq = foot.LastSeq; out.LastSeq < 0 || out.LastSeq > flow.MaxInteger-Unsaved {
		return fmt.Errorf("sequence number %d is out of range", out.LastSeq)
	}
	for _, c := range out.Flows {
		if c.Seq > out.LastSeq || c.Born > c.Seq {
			return fmt.Errorf("flow %q has sequence numbers %d to %d, but the greatest assigned is %d", c.FlowID, c.Born, c.Seq, out.LastSeq)
		}
	}
	return nil
}

func (s *stateReader) flow(head stateFlow) (*Checkpoint, error) {
	m := &flow.Message{Type: flow.TypeSnapshot, Flow: new(flow.Instance)}
	c := &Checkpoint{FlowID: head.Flow, Incarnation: head.Incarnation, Seq: head.Last,
		Born: head.Born, UpdatedAt: head.UpdatedAt, LastActivity: head.LastActivity, Rollouts: head.Rollouts, Revisions: head.Revisions,
		Content: flow.Content{Snapshot: m, Described: head.Described, Arrival: head.Arrival, DoneAt: head.DoneAt}}
	parts := []struct {
		lines   int
		divisor int
		read    func(text string) error
	}{
		{1, elementLine, func(text string) (err error) { *m.Flow, err = flow.DecodeInstance(head.Flow, text); return err }},
		{head.Nodes, elementLine, func(text string) error {
			n, err := flow.DecodeNode(head.Flow, text)
			m.Nodes = append(m.Nodes, n)
			return err
		}},
		{head.Relationships, elementLine, func(text string) error {
			r, err := flow.DecodeRelationship(text)
			m.Relationships = append(m.Relationships, r)
			return err
		}},
		{head.Emitters, encodedLine, c.readEmitter},
		{head.PastRollouts, encodedLine, func(text string) error {
			var r rollout.Rollout
			err := json.Unmarshal([]byte(text), &r)
			c.Rollouts.Past = append(c.Rollouts.Past, r)
			return err
		}},
		{head.Claims, encodedLine, c.readClaim},
	}
	if c.Incarnation == NoIncarnation {
		parts = parts[len(parts)-1:]
		c = &Checkpoint{FlowID: c.FlowID, Incarnation: NoIncarnation, LastActivity: c.LastActivity}
		parts[0].read = c.readClaim
	}
	for _, part := range parts {
		for range part.lines {
			text, err := s.line(part.divisor)
			if err == nil {
				err = part.read(text)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *Checkpoint) readEmitter(text string) error {
	var e stateEmitter
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	if e.Raw != nil {
		e.Name = string(e.Raw)
	}
	w := &LastRequest{Stamp: Stamp{Name: e.Name, Epoch: e.Epoch, N: e.N}, Receipt: Receipt{Seq: e.Seq, Incarnation: e.Incarnation}, Region: e.Region}
	digest, err := hex.DecodeString(e.Digest)
	if err != nil || len(digest) != len(w.Digest) {
		return fmt.Errorf("invalid digest %q of emitter %q", e.Digest, e.Name)
	}
	copy(w.Digest[:], digest)
	if c.Emitters == nil {
		c.Emitters = make(map[string]*LastRequest)
	}
	c.Emitters[e.Name] = w
	return nil
}

func (c *Checkpoint) readClaim(text string) error {
	var s SavedClaim
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	again := slices.ContainsFunc(c.Claims, func(o SavedClaim) bool { return o.Region == s.Region || o.Lease == s.Lease })
	if s.Region == "" || s.Cluster == "" || s.Lease == "" || s.TTL < MinTTL.Milliseconds() || s.TTL > MaxTTL.Milliseconds() || again {
		return fmt.Errorf("invalid claim of region %q: the region or lease is repeated, a field is missing, or the TTL of %d ms is not from %s to %s", s.Region, s.TTL, MinTTL, MaxTTL)
	}
	c.Claims = append(c.Claims, s)
	return nil
}
