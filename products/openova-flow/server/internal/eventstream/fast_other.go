//go:build !linux

package eventstream

// NewFast returns the portable Writer: the fast one needs Linux.
func NewFast(cfg Config) Writer { return NewPortable(cfg) }
