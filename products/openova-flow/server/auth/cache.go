package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxVerified limits the entries of a cache. A cluster has few valid tokens at a time.
const maxVerified = 4096

// verified is a token that a key of the set has verified.
type verified struct {
	entry   *trusted
	keys    *keySet
	expires time.Time
}

// cache has the verified tokens by their SHA-256, so that a token is not verified for every request. The zero value is empty.
type cache struct {
	mu sync.Mutex
	m  map[[sha256.Size]byte]verified
}

// get returns the entry of a token, unless the token has expired or the keys of its trust entry have changed.
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
