package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	fetchTimeout = 5 * time.Second
	fetchGap     = time.Minute      // minimum time between the starts of two fetches for one keyring
	fetchEvery   = 10 * time.Minute // until the next fetch after one that succeeds, unless a token causes it earlier; so long a removed key may be accepted
)

// keyring has the keys of one trust entry, and their source.
type keyring struct {
	name    string // of the trust entry
	source  keySource
	log     *slog.Logger
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	changed func() // called after a change of the keys
	set     atomic.Pointer[keySet]

	seen string // content of the file at the last load, or its error; used only by load

	mu     sync.Mutex
	begun  time.Time     // start of the last fetch
	failed bool          // the last fetch failed
	flight chan struct{} // closed at the end of the running fetch; nil if none is running
}

// current returns the key set, which is never nil.
func (k *keyring) current() *keySet { return k.set.Load() }

// put replaces the key set if it has changed.
func (k *keyring) put(s *keySet) {
	if k.current().raw == s.raw {
		return
	}
	if len(s.keys) == 0 {
		k.log.Warn("key set has no key for RS256 or ES256", "entry", k.name)
	}
	k.set.Store(s)
	k.changed()
}

// load reads the keys from the file, if the entry has one and it has changed. On an error the previous keys stay, and the error is returned only
// once.
func (k *keyring) load() error {
	if k.source.file == "" {
		return nil
	}
	data, err := readFile(k.source.file, maxKeySet)
	if err != nil {
		return k.once("error "+err.Error(), err)
	}
	if k.seen == string(data) {
		return nil
	}
	k.seen = string(data)
	s, err := parseJWKS(data)
	if err != nil {
		return fmt.Errorf("%s: %w", k.source.file, err)
	}
	k.put(s)
	return nil
}

// once returns err, or nil if the previous call had the same error.
func (k *keyring) once(seen string, err error) error {
	if k.seen == seen {
		return nil
	}
	k.seen = seen
	return err
}

// due reports whether it is time to fetch the keys again.
func (k *keyring) due(now time.Time) bool {
	if k.source.url == "" {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	every := fetchEvery
	if k.failed {
		every = fetchGap
	}
	return k.flight == nil && (k.begun.IsZero() || now.Sub(k.begun) >= every)
}

// fetch fetches the keys from the URL, at most once a minute. If another fetch is running, it waits for that until wait ends. Its own fetch is canceled
// when work ends.
func (k *keyring) fetch(wait, work context.Context) {
	if k.source.url == "" {
		return
	}
	k.mu.Lock()
	if flight := k.flight; flight != nil {
		k.mu.Unlock()
		select {
		case <-flight:
		case <-wait.Done():
		}
		return
	}
	now := time.Now()
	if !k.begun.IsZero() && now.Sub(k.begun) < fetchGap {
		k.mu.Unlock()
		return
	}
	flight := make(chan struct{})
	k.begun, k.flight = now, flight
	k.mu.Unlock()

	failed := true
	defer func() {
		k.mu.Lock()
		k.flight, k.failed = nil, failed
		k.mu.Unlock()
		close(flight)
	}()
	bounded, cancel := context.WithTimeout(work, fetchTimeout)
	defer cancel()
	s, err := k.get(bounded)
	if err != nil {
		k.log.Error("JWKS fetch failed, keeping previous keys", "entry", k.name, "host", k.host(), "err", err)
		return
	}
	failed = false
	k.put(s)
}

// host returns the host of the URL, since the query may have a secret.
func (k *keyring) host() string {
	u, err := url.Parse(k.source.url)
	if err != nil {
		return ""
	}
	return u.Host
}

func (k *keyring) get(ctx context.Context) (*keySet, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: k.dial, DisableKeepAlives: true}
	if k.source.caFile != "" {
		pem, err := readFile(k.source.caFile, maxKeySet)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no PEM certificate", k.source.caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.source.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	// Not http.Client: it would follow redirects, and its errors contain the URL, whose query may have a secret.
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d, want 200", res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err != nil {
		return nil, err
	}
	return parseJWKS(data)
}

// readFile reads a file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return data, err
}
