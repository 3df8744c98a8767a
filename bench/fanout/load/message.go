//go:build linux

package load

import (
	"bytes"
	"fmt"
	"strings"
)

// A stamp is OFx<run>-<index>-<nanoseconds>x: only characters that no server escapes, and of fixed width, so that it can be patched into a prepared
// request.
const (
	stampMark  = "OFx"
	runDigits  = 6
	indexAt    = len(stampMark) + runDigits + 1
	indexWidth = 9
	sentAt     = indexAt + indexWidth + 1
	sentWidth  = 15
	stampLen   = sentAt + sentWidth + 1
	nodes      = 1000 // messages cycle through this many nodes
	nodeWidth  = 4
	flowWidth  = 5
)

// request is a prepared POST of one message, with the positions of its variable parts.
type request struct {
	bytes []byte
	stamp int
	node  []int
	flow  []int
	flows int
}

// newRequest returns a request with a message of size bytes, or of the least possible size. If flows is not 0, set addresses it to one
// of that many flows, by the index; their ids are flow plus flowWidth digits.
func newRequest(host, flow string, flows, run, size int) request {
	if flows > 0 {
		flow += strings.Repeat("0", flowWidth)
	}
	node := strings.Repeat("0", nodeWidth)
	stamp := fmt.Sprintf("%s%0*d-%s-%sx", stampMark, runDigits, run, strings.Repeat("0", indexWidth), strings.Repeat("0", sentWidth))
	message := fmt.Sprintf(`{"type":"upsert-nodes","nodes":[{"id":"r1/flux-system/n%s","flowId":"%s","label":"n%s","family":"HelmRelease",`+
		`"region":"r1","status":"running","startedAt":1700000000000,"meta":{"stamp":"%s","pad":"%%s"}}]}`, node, flow, node, stamp)
	message = fmt.Sprintf(message, strings.Repeat("p", max(0, size-len(message)+len("%s"))))
	head := fmt.Sprintf("POST /v1/flows/%s/events HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", flow, host, len(message))
	r := request{bytes: []byte(head + message)}
	r.stamp = bytes.Index(r.bytes, []byte(stampMark))
	for _, before := range []string{`"id":"r1/flux-system/n`, `"label":"n`} {
		r.node = append(r.node, bytes.Index(r.bytes, []byte(before))+len(before))
	}
	if flows > 0 {
		r.flows = flows
		for _, before := range []string{"/v1/flows/", `"flowId":"`} {
			r.flow = append(r.flow, bytes.Index(r.bytes, []byte(before+flow))+len(before)+len(flow)-flowWidth)
		}
	}
	return r
}

func (r request) clone() request {
	r.bytes = bytes.Clone(r.bytes)
	return r
}

func (r request) set(index int, sent int64) {
	putDigits(r.bytes[r.stamp+indexAt:][:indexWidth], int64(index))
	putDigits(r.bytes[r.stamp+sentAt:][:sentWidth], sent)
	for _, at := range r.flow {
		putDigits(r.bytes[at:][:flowWidth], int64(index%r.flows))
	}
	for _, at := range r.node {
		putDigits(r.bytes[at:][:nodeWidth], int64(index%nodes))
	}
}

// readStamp finds the stamp of a run in the data of a frame.
func readStamp(data, mark []byte) (index int, sent int64, ok bool) {
	i := bytes.Index(data, mark)
	if i < 0 || len(data) < i+stampLen {
		return 0, 0, false
	}
	return int(digits(data[i+indexAt:][:indexWidth])), digits(data[i+sentAt:][:sentWidth]), true
}

func markOf(run int) []byte { return fmt.Appendf(nil, "%s%0*d-", stampMark, runDigits, run) }

func putDigits(b []byte, v int64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = '0' + byte(v%10)
		v /= 10
	}
}

// digits parses the decimal number at the start of b.
func digits(b []byte) (v int64) {
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		v = v*10 + int64(c-'0')
	}
	return v
}
