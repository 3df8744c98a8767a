package record

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// NoIncarnation stands for the incarnation of a flow that does not exist.
const NoIncarnation = "none"

// Digest tells the bodies of requests apart: their SHA-256.
type Digest = [sha256.Size]byte

// Stamp says who sends a request and in what order (Flow-Emitter). The zero Stamp says nothing.
type Stamp struct {
	Name     string // of a caller bound to regions it begins with these and a slash (auth.Grant.Emitter): names are limited for each set of them
	Epoch, N int64
}

// NewerThan reports whether s comes after o, of the same name.
func (s Stamp) NewerThan(o Stamp) bool { return s.Epoch > o.Epoch || s.Epoch == o.Epoch && s.N > o.N }

// LastWord is the last request that was applied for an emitter's name.
type LastWord struct {
	Stamp   Stamp
	Digest  Digest
	Receipt Receipt
}

// Post is a request to fold messages, at least one, into a flow.
type Post struct {
	FlowID        string
	Messages      []*flow.Message
	Regions       []string // that the caller is bound to: relationships of others outlive its deletions; nil: none
	IfIncarnation string   // apply only to this incarnation; NoIncarnation: only if there is no flow; empty: to any
	Stamp         Stamp
	Digest        Digest // of the body; needed only with a Stamp
	Lease         string // of a region of the flow, which it renews when it is applied; empty: of none
}

// Receipt is the answer to a Post.
type Receipt struct {
	Seq         int64  // number of its last message
	Incarnation string // of the flow after it, NoIncarnation when there is none
}

// How long a claim of a region may be good for without being renewed.
const (
	MinTTL     = 5 * time.Second
	DefaultTTL = 30 * time.Second
	MaxTTL     = time.Hour
)

// Claim is a request for the lease of a region of a flow, whether the flow exists or not: that one cluster, and no other, speaks for it.
type Claim struct {
	FlowID  string
	Region  string        // not empty
	Cluster string        // the identity of who claims; not empty
	TTL     time.Duration // from MinTTL to MaxTTL; 0: DefaultTTL
	Admin   bool          // the claim of another identity may be taken over once it has expired
}

// Kind tells commands apart.
type Kind string

// The kinds of commands. Those but the first have no messages, and all but the last name a flow.
const (
	KindPost         Kind = "post"          // fold messages
	KindDelete       Kind = "delete"        // end a flow
	KindDeleteRegion Kind = "delete-region" // remove the nodes of a region
	KindIdle         Kind = "idle"          // end a flow that nobody speaks for, unless somebody has since
	KindHeard        Kind = "heard"         // somebody speaks for a flow
	KindClaim        Kind = "claim"         // claim a region of a flow
	KindNumber       Kind = "number"        // nothing, but it takes a number: the answer to deletions in a flow that does not exist
)

// Command is a change of a hub, as a hub.Log carries it.
type Command struct {
	Kind        Kind
	Post        Post   // of KindPost; of the others FlowID, and of KindIdle and KindHeard IfIncarnation
	Region      string // of KindDeleteRegion
	Claim       Claim  // of KindClaim
	SilentSince int64  // of KindIdle and KindHeard: when somebody spoke for the flow last, Unix milliseconds

	// ID tells a repeat of the command: a Log that has taken one with the same ID shortly before need not take it again. Empty: it is
	// none. It is not encoded.
	ID string
}

// FlowID returns the flow that the command is for, nothing when it is for none.
func (c Command) FlowID() string { return cmp.Or(c.Post.FlowID, c.Claim.FlowID) }

// header is all of a command but its messages.
type header struct {
	Kind          Kind      `json:"kind"`
	FlowID        string    `json:"flow,omitempty"`
	IfIncarnation string    `json:"if,omitempty"`
	Emitter       []byte    `json:"emitter,omitempty"` // a header's bytes need not be UTF-8
	Epoch         int64     `json:"epoch,omitempty"`
	N             int64     `json:"n,omitempty"`
	Digest        string    `json:"digest,omitempty"`
	Regions       *[]string `json:"regions,omitempty"` // an empty list binds, none does not
	Lease         string    `json:"lease,omitempty"`
	Region        string    `json:"region,omitempty"`
	Cluster       string    `json:"cluster,omitempty"`
	TTL           int64     `json:"ttl,omitempty"` // milliseconds
	Admin         bool      `json:"admin,omitempty"`
	SilentSince   int64     `json:"silentSince,omitempty"`
}

// Encode returns the command as lines: a JSON object, then each message as it came.
func (c Command) Encode() []byte {
	p := &c.Post
	h := header{Kind: c.Kind, FlowID: p.FlowID, IfIncarnation: p.IfIncarnation, Emitter: []byte(p.Stamp.Name), Epoch: p.Stamp.Epoch, N: p.Stamp.N,
		Lease: p.Lease, Region: c.Region, SilentSince: c.SilentSince}
	if q := c.Claim; c.Kind == KindClaim {
		h.FlowID, h.Region, h.Cluster, h.TTL, h.Admin = q.FlowID, q.Region, q.Cluster, q.TTL.Milliseconds(), q.Admin
	}
	if p.Stamp.Name != "" {
		h.Digest = hex.EncodeToString(p.Digest[:])
	}
	if p.Regions != nil {
		h.Regions = &p.Regions
	}
	out, _ := json.Marshal(h) // strings and numbers always marshal
	for _, m := range p.Messages {
		out = append(append(out, '\n'), m.JSON()...)
	}
	return out
}

// DecodeCommand reads what Encode made.
func DecodeCommand(data []byte) (c Command, err error) {
	var h header
	first, rest, _ := bytes.Cut(data, []byte{'\n'})
	if err := json.Unmarshal(first, &h); err != nil {
		return c, fmt.Errorf("read the head of a command: %w", err)
	}
	c = Command{Kind: h.Kind, Region: h.Region, SilentSince: h.SilentSince,
		Post: Post{FlowID: h.FlowID, IfIncarnation: h.IfIncarnation, Stamp: Stamp{Name: string(h.Emitter), Epoch: h.Epoch, N: h.N}, Lease: h.Lease}}
	switch c.Kind {
	case KindDelete, KindDeleteRegion, KindIdle, KindHeard, KindNumber:
		return c, nil
	case KindClaim:
		ttl := time.Duration(h.TTL) * time.Millisecond
		return Command{Kind: h.Kind, Claim: Claim{FlowID: h.FlowID, Region: h.Region, Cluster: h.Cluster, TTL: ttl, Admin: h.Admin}}, nil
	case KindPost:
	default:
		return c, fmt.Errorf("a command of kind %q is not known: it comes from a later version", h.Kind)
	}
	if h.Regions != nil {
		c.Post.Regions = *h.Regions
	}
	if len(h.Emitter) > 0 {
		digest, err := hex.DecodeString(h.Digest)
		if err != nil || len(digest) != len(c.Post.Digest) {
			return c, fmt.Errorf("the digest of a command is %q, which is none", h.Digest)
		}
		copy(c.Post.Digest[:], digest)
	}
	if c.Post.Messages, err = flow.DecodeStoredBatch(h.FlowID, rest); err != nil {
		return c, fmt.Errorf("read the messages of a command: %w", err)
	}
	return c, nil
}
