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

// NoIncarnation is the incarnation of a flow that does not exist.
const NoIncarnation = "none"

// Digest is the SHA-256 of the body of a request.
type Digest = [sha256.Size]byte

// Stamp is the emitter of a request and the position of the request in the emitter's order (header Flow-Emitter). The
// zero Stamp means that the request has none.
type Stamp struct {
	Name     string // starts with the regions of a bound caller and a slash (auth.Grant.Emitter): each set of regions has its own limit of names
	Epoch, N int64
}

// NewerThan reports whether s comes after o, which has the same name.
func (s Stamp) NewerThan(o Stamp) bool { return s.Epoch > o.Epoch || s.Epoch == o.Epoch && s.N > o.N }

// LastRequest is the last applied request of an emitter.
type LastRequest struct {
	Stamp   Stamp
	Digest  Digest
	Receipt Receipt
	Region  string // of the lease in the request; empty: no lease
}

// Post is a request to fold one or more messages into a flow.
type Post struct {
	FlowID        string
	Messages      []*flow.Message
	Regions       []string // regions that the caller is bound to: its deletions keep relationships of other regions; nil: not bound
	IfIncarnation string   // apply only to this incarnation; NoIncarnation: only if there is no flow; empty: always
	Stamp         Stamp
	Digest        Digest // SHA-256 of the body; needed only with a Stamp
	Lease         string // lease of a region of the flow, which the request renews; empty: no lease
}

// Receipt is the answer to a Post.
type Receipt struct {
	Seq         int64  // sequence number of its last message
	Incarnation string // of the flow after the request; NoIncarnation if there is no flow
}

// Limits and default of a claim's TTL: how long after its last renewal it expires.
const (
	MinTTL     = 5 * time.Second
	DefaultTTL = 30 * time.Second
	MaxTTL     = time.Hour
)

// Claim is a request for the lease of a region of a flow. One cluster at a time holds it. The flow need not
// exist.
type Claim struct {
	FlowID  string
	Region  string        // not empty
	Cluster string        // identity of the cluster that claims; not empty
	TTL     time.Duration // from MinTTL to MaxTTL; 0: DefaultTTL
	Admin   bool          // may take over an expired claim of another cluster
}

// Kind is the type of a command.
type Kind string

// All kinds of commands. Only KindPost has messages. All but KindNumber name a flow.
const (
	KindPost         Kind = "post"          // fold messages
	KindDelete       Kind = "delete"        // delete a flow
	KindDeleteRegion Kind = "delete-region" // remove the nodes and the claim of a region
	KindIdle         Kind = "idle"          // delete an idle flow, unless it has been active since
	KindActivity     Kind = "heard"         // record that an emitter of the flow is active
	KindClaim        Kind = "claim"         // claim a region of a flow
	KindNumber       Kind = "number"        // use up a sequence number and change nothing: a deletion in a flow that does not exist
)

// Command is a change of a hub, as stored in a hub.Log.
type Command struct {
	Kind         Kind
	Post         Post   // for KindPost; other kinds except KindClaim and KindNumber use its FlowID, KindIdle also its IfIncarnation
	Region       string // for KindDeleteRegion
	Claim        Claim  // for KindClaim
	LastActivity int64  // for KindIdle and KindActivity: the flow's last activity by the commands before this one, Unix milliseconds

	// ID identifies repetitions: a Log may drop a command whose ID it has stored shortly before. Empty: never dropped. It is not
	// encoded.
	ID string
}

// FlowID returns the flow that the command names, empty if it names none.
func (c Command) FlowID() string { return cmp.Or(c.Post.FlowID, c.Claim.FlowID) }

// header is a command without its messages.
type header struct {
	Kind          Kind      `json:"kind"`
	FlowID        string    `json:"flow,omitempty"`
	IfIncarnation string    `json:"if,omitempty"`
	Emitter       []byte    `json:"emitter,omitempty"` // bytes, since an HTTP header need not be UTF-8
	Epoch         int64     `json:"epoch,omitempty"`
	N             int64     `json:"n,omitempty"`
	Digest        string    `json:"digest,omitempty"`
	Regions       *[]string `json:"regions,omitempty"` // empty: bound to no region; absent: not bound
	Lease         string    `json:"lease,omitempty"`
	Region        string    `json:"region,omitempty"`
	Cluster       string    `json:"cluster,omitempty"`
	TTL           int64     `json:"ttl,omitempty"` // milliseconds
	Admin         bool      `json:"admin,omitempty"`
	LastActivity  int64     `json:"silentSince,omitempty"`
}

// Encode returns the command as lines: a JSON object, then the original bytes of each message.
func (c Command) Encode() []byte {
	p := &c.Post
	h := header{Kind: c.Kind, FlowID: p.FlowID, IfIncarnation: p.IfIncarnation, Emitter: []byte(p.Stamp.Name), Epoch: p.Stamp.Epoch, N: p.Stamp.N,
		Lease: p.Lease, Region: c.Region, LastActivity: c.LastActivity}
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

// DecodeCommand decodes the result of Encode.
func DecodeCommand(data []byte) (c Command, err error) {
	var h header
	first, rest, _ := bytes.Cut(data, []byte{'\n'})
	if err := json.Unmarshal(first, &h); err != nil {
		return c, fmt.Errorf("decode the first line of a command: %w", err)
	}
	c = Command{Kind: h.Kind, Region: h.Region, LastActivity: h.LastActivity,
		Post: Post{FlowID: h.FlowID, IfIncarnation: h.IfIncarnation, Stamp: Stamp{Name: string(h.Emitter), Epoch: h.Epoch, N: h.N}, Lease: h.Lease}}
	switch c.Kind {
	case KindDelete, KindDeleteRegion, KindIdle, KindActivity, KindNumber:
		return c, nil
	case KindClaim:
		ttl := time.Duration(h.TTL) * time.Millisecond
		return Command{Kind: h.Kind, Claim: Claim{FlowID: h.FlowID, Region: h.Region, Cluster: h.Cluster, TTL: ttl, Admin: h.Admin}}, nil
	case KindPost:
	default:
		return c, fmt.Errorf("unknown command kind %q, from a newer version", h.Kind)
	}
	if h.Regions != nil {
		c.Post.Regions = *h.Regions
	}
	if len(h.Emitter) > 0 {
		digest, err := hex.DecodeString(h.Digest)
		if err != nil || len(digest) != len(c.Post.Digest) {
			return c, fmt.Errorf("invalid digest %q of a command: want the SHA-256 in hexadecimal", h.Digest)
		}
		copy(c.Post.Digest[:], digest)
	}
	if c.Post.Messages, err = flow.DecodeStoredBatch(h.FlowID, rest); err != nil {
		return c, fmt.Errorf("decode the messages of a command: %w", err)
	}
	return c, nil
}
