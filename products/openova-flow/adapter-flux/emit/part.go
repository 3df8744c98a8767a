package emit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Limits of a snapshot. Elements of other regions are skipped: only maxElement applies to them.
const (
	maxElement = 2 * DefaultMaxMessage // limit of the bytes read for an element: a message of the default size, white space, and what the decoder reads ahead
	maxPart    = 64 << 20              // limit of the region's elements, in bytes; each counts with perElement more
	perElement = 1 << 10               // approximate memory of the comparison for an element, besides its text
)

var (
	errElementTooLarge = fmt.Errorf("an element of the flow server's snapshot exceeds %d bytes; delete it on the server, or, if no client sent it, check FLOW_SERVER_URL, and proxies on the way", maxElement)
	errPartTooLarge    = fmt.Errorf("the flow server's snapshot of the region exceeds %d bytes; on the server, delete nodes of the region that this cluster does not have", maxPart)
)

// part is the region's part of a snapshot.
type part struct {
	nodes []flow.Node
	rels  []flow.Relationship
}

// readPart reads a snapshot message of flow flowID and keeps only the region's part, since older servers answer with all regions. The error is that of
// reading body, or describes a snapshot that is invalid or too large.
func readPart(flowID, region string, body io.Reader) (part, error) {
	in := &rationed{r: body}
	p := partReader{d: json.NewDecoder(in), in: in, flowID: flowID, region: region}
	err := p.message()
	switch {
	case err == nil:
		return p.part, nil
	case errors.Is(err, errElementTooLarge), errors.Is(err, errPartTooLarge):
		return part{}, err
	case in.err != nil && in.err != io.EOF:
		return part{}, fmt.Errorf("reading the answer: %w", in.err)
	}
	return part{}, errNotASnapshot
}

// rationed is a reader that fails when more than maxElement bytes are read between two calls of refill.
type rationed struct {
	r    io.Reader
	read int
	err  error
}

func (r *rationed) refill() { r.read = 0 }

func (r *rationed) Read(b []byte) (n int, err error) {
	if r.read >= maxElement {
		return 0, errElementTooLarge
	}
	n, err = r.r.Read(b[:min(len(b), maxElement-r.read)])
	r.read += n
	r.err = err
	return n, err
}

type partReader struct {
	part
	d              *json.Decoder
	in             *rationed
	flowID, region string
	raw            json.RawMessage // JSON of the current element; reused
	kept           int             // bytes of the elements in part, each with perElement more
}

func (p *partReader) message() error {
	if err := p.expect(json.Delim('{')); err != nil {
		return err
	}
	hasType, hasFlow := false, false
	for p.d.More() {
		key, err := p.d.Token()
		if err != nil {
			return err
		}
		p.in.refill()
		switch key {
		case "nodes":
			err = p.each(p.node)
		case "relationships":
			err = p.each(p.relationship)
		default:
			if err = p.d.Decode(&p.raw); err != nil {
				break
			}
			switch key {
			case "type":
				hasType = string(p.raw) == `"snapshot"`
			case "flow":
				hasFlow = true
				_, err = flow.DecodeInstance(p.flowID, compacted(p.raw))
			}
		}
		if err != nil {
			return err
		}
		p.in.refill()
	}
	if err := p.expect(json.Delim('}')); err != nil {
		return err
	}
	if _, err := p.d.Token(); err != io.EOF || !hasType || !hasFlow {
		return errNotASnapshot
	}
	return nil
}

func (p *partReader) expect(want json.Delim) error {
	got, err := p.d.Token()
	if err == nil && got != want {
		err = errNotASnapshot
	}
	return err
}

// each reads an array and calls f for each element, with its text in p.raw.
func (p *partReader) each(f func() error) error {
	if err := p.expect(json.Delim('[')); err != nil {
		return err
	}
	for p.d.More() {
		if err := p.d.Decode(&p.raw); err != nil {
			return err
		}
		p.in.refill()
		if err := f(); err != nil {
			return err
		}
	}
	return p.expect(json.Delim(']'))
}

func (p *partReader) node() error {
	var head struct {
		ID     string `json:"id"`
		Region string `json:"region"`
	}
	if err := json.Unmarshal(p.raw, &head); err != nil {
		return err
	}
	if head.Region != p.region && (head.Region != "" || flow.RegionOf(head.ID) != p.region) {
		return nil
	}
	n, err := flow.DecodeNode(p.flowID, compacted(p.raw))
	p.nodes = append(p.nodes, n)
	return errors.Join(err, p.keep())
}

func (p *partReader) relationship() error {
	var head struct {
		flow.RelKey
		FromFlowID string `json:"fromFlowId"`
		ToFlowID   string `json:"toFlowId"`
	}
	if err := json.Unmarshal(p.raw, &head); err != nil {
		return err
	}
	flowID := head.ToFlowID
	if head.Type == flow.Contains {
		flowID = head.FromFlowID
	}
	if !flow.RelInRegions(head.RelKey, []string{p.region}) || flowID != "" && flowID != p.flowID {
		return nil
	}
	r, err := flow.DecodeRelationship(compacted(p.raw))
	p.rels = append(p.rels, r)
	return errors.Join(err, p.keep())
}

// keep counts the current element towards maxPart.
func (p *partReader) keep() error {
	if p.kept += len(p.raw) + perElement; p.kept > maxPart {
		return errPartTooLarge
	}
	return nil
}

// compacted returns a copy of valid JSON without its insignificant white space.
func compacted(raw []byte) string {
	var b bytes.Buffer
	b.Grow(len(raw))
	_ = json.Compact(&b, raw) // it is valid JSON
	return b.String()
}
