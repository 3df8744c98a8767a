//go:build linux

package load

import (
	"bytes"
	"fmt"
	"strings"
)

// A stamp is OFx<run>-<index>-<nanoseconds>x: letters and digits only, so that no server has a reason to escape it, and of one width,
// so that it is patched into a finished request.
const (
	stampMark  = "OFx"
	runDigits  = 6
	indexAt    = len(stampMark) + runDigits + 1
	indexWidth = 9
	sentAt     = indexAt + indexWidth + 1
	sentWidth  = 15
	stampLen   = sentAt + sentWidth + 1
	nodes      = 1000 // messages go round this many nodes
	nodeWidth  = 4
)

// request is a POST of one message, whole, and where in it the parts are that differ from message to message.
type request struct {
	bytes []byte
	stamp int
	node  []int
}

// newRequest makes a message of size bytes, or of the least that it takes.
func newRequest(host, flow string, run, size int) request {
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
	return r
}

func (r request) clone() request {
	r.bytes = bytes.Clone(r.bytes)
	return r
}

// set makes it message index, sent at a time.
func (r request) set(index int, sent int64) {
	putDigits(r.bytes[r.stamp+indexAt:][:indexWidth], int64(index))
	putDigits(r.bytes[r.stamp+sentAt:][:sentWidth], sent)
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

// digits reads the decimal number that b begins with.
func digits(b []byte) (v int64) {
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		v = v*10 + int64(c-'0')
	}
	return v
}
