package app

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificates serves a key pair from files that may be rotated in place.
type certificates struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	stamp   [2]fileStamp
	checked time.Time
	failure string // of the last check; empty: none
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// recheck is the minimum time between two checks of the files.
const recheck = time.Second

func (c *certificates) stat() (s [2]fileStamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return s, err
		}
		s[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return s, nil
}

// load reads the pair if the files have changed. If that fails, such as while certificate and key do not match, the previous pair stays in use.
func (c *certificates) load() error {
	stamp, err := c.stat()
	if err != nil || stamp == c.stamp {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.stamp = &pair, stamp
	return nil
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= recheck {
		c.checked = now
		old := c.pair
		failure := ""
		if err := c.load(); err != nil {
			failure = err.Error()
		} else if c.pair != old {
			c.log.Info("certificate reloaded")
		}
		if failure != "" && failure != c.failure {
			c.log.Warn("certificate not reloaded", "err", failure)
		}
		c.failure = failure
	}
	return c.pair, nil
}
