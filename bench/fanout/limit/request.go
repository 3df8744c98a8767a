//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	prefix       = "/v1/flows/"
	eventsSuffix = "/events"
	streamSuffix = "/stream"
)

// read reads once from a connection and serves the requests that are complete.
func (t *thread) read(c *conn) {
	kept := copy(t.buf, c.partial)
	n, err := unix.Read(int(c.fd), t.buf[kept:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if err != nil || n == 0 {
		t.close(c)
		return
	}
	b := t.buf[:kept+n]
	for len(b) > 0 && c.topic == nil {
		used, ok := t.request(c, b)
		if !ok {
			t.close(c)
			return
		}
		if used == 0 {
			break
		}
		b = b[used:]
	}
	if len(b) == len(t.buf) {
		t.close(c) // too large
		return
	}
	c.partial = append(c.partial[:0], b...)
}

// request serves the request at the start of b and returns its length, 0 if it is incomplete. ok is false for an unknown or malformed request.
func (t *thread) request(c *conn, b []byte) (used int, ok bool) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, true
	}
	head := b[:end]
	method, rest, _ := bytes.Cut(head, []byte(" "))
	path, _, _ := bytes.Cut(rest, []byte(" "))
	flow, found := bytes.CutPrefix(path, []byte(prefix))
	if !found {
		return 0, false
	}
	end += 4
	switch {
	case string(method) == "POST" && bytes.HasSuffix(flow, []byte(eventsSuffix)):
		length, err := contentLength(head)
		if err != nil {
			return 0, false
		}
		if len(b) < end+length {
			return 0, true
		}
		seq := t.server.publish(string(bytes.TrimSuffix(flow, []byte(eventsSuffix))), b[end:end+length])
		body := strconv.AppendInt([]byte(`{"seq":`), seq, 10)
		t.write(c, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s}", len(body)+1, body))
		return end + length, true
	case string(method) == "GET" && bytes.HasSuffix(flow, []byte(streamSuffix)):
		c.topic, c.from = t.server.head(string(bytes.TrimSuffix(flow, []byte(streamSuffix))))
		c.at = len(t.subscribers[c.topic])
		t.subscribers[c.topic] = append(t.subscribers[c.topic], c)
		t.write(c, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"+
			"id: %d\nevent: snapshot\ndata: {}\n\n", c.from))
		return end, true
	}
	return 0, false
}

func contentLength(head []byte) (int, error) {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 31)
			return int(n), err
		}
	}
	return 0, fmt.Errorf("no Content-Length")
}
