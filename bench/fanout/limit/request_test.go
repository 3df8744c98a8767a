//go:build linux

package main

import "testing"

func TestContentLength(t *testing.T) {
	for value, want := range map[string]int{"0": 0, " 12 ": 12, "-5": -1, "9999999999": -1, "x": -1} {
		n, err := contentLength([]byte("POST / HTTP/1.1\r\ncontent-length:" + value))
		if err != nil {
			n = -1
		}
		if n != want {
			t.Errorf("%q: %d %v, want %d", value, n, err, want)
		}
	}
}
