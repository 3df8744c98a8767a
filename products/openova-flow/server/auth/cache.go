package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxVerified bounds a cache. Clusters send a token each, for hours.
const maxVerified = 4096

// verified is a token whose signature has been verified by a key of that set.
type verified struct {
	entry   *trusted
	keys    *keySet
	expires time.Time
}

// cache remembers what was verified, by the SHA-256 of the token, so that not every request costs a verification. The zero cache is
// empty.
type cache struct {
	mu sync.Mutex
	m  map[[sha256.Size]byte]verified
}

// get returns what was put for a token, unless the token has expired or the keys of its entry are others since.
func (c *cache) get(sum [sha256.Size]byte, now time.Time) (verified, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.m[sum]
	if !ok {
		return v, false
	}
	if !now.Before(v.expires) || v.entry.keys.current() != v.keys {
		delete(c.m, sum)
		return v, false
	}
	return v, true
}

func (c *cache) put(sum [sha256.Size]byte, v verified, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= maxVerified {
		for sum, v := range c.m {
			if !now.Before(v.expires) {
				delete(c.m, sum)
			}
		}
		if len(c.m) >= maxVerified {
			clear(c.m)
		}
	}
	if c.m == nil {
		c.m = make(map[[sha256.Size]byte]verified)
	}
	c.m[sum] = v
}
