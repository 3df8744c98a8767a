package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
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
	fetchAtMost  = time.Minute      // between the beginnings of two fetches from one URL
	fetchEvery   = 10 * time.Minute // so that keys that were taken away are forgotten
)

// keyring is where the keys of one trust entry come from, and those that it has. It belongs to that entry alone.
type keyring struct {
	name    string // of the entry
	source  keySource
	log     *slog.Logger
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	changed func() // called after the keys have changed
	set     atomic.Pointer[keySet]

	seen string // what the file held when it was last read, or the error of that; only load uses it

	mu     sync.Mutex
	begun  time.Time     // when the last fetch began
	failed bool          // it brought nothing
	flight chan struct{} // closed when the fetch under way is over; nil when there is none
}

// current is never nil.
func (k *keyring) current() *keySet { return k.set.Load() }

// put takes a key set over when it is another.
func (k *keyring) put(s *keySet) {
	if k.current().raw == s.raw {
		return
	}
	if len(s.keys) == 0 {
		k.log.Warn("a key set has no key for RS256 or ES256", "name", k.name)
	}
	k.set.Store(s)
	k.changed()
}

// load reads the file when the keys are in one. It returns and logs nothing when the file is as it was at the last time. What can't be
// read leaves the keys that there are.
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

// once returns err unless that is what was seen at the last time too.
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
		every = fetchAtMost
	}
	return k.flight == nil && (k.begun.IsZero() || now.Sub(k.begun) >= every)
}

// fetch brings the keys from the URL, unless that was tried less than a minute ago. When another fetch is under way it waits for that
// one, or for the end of wait; one that it begins itself ends with work.
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
	if !k.begun.IsZero() && now.Sub(k.begun) < fetchAtMost {
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
		k.log.Error("keys were not fetched; those of before stay", "name", k.name, "err", err)
		return
	}
	failed = false
	k.put(s)
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
			return nil, fmt.Errorf("%s holds no PEM certificate", k.source.caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	// Keys come from where the file says and from nowhere else.
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.source.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // its text has the URL, which may have a secret in its query
			err = u.Err
		}
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %d", res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err != nil {
		return nil, err
	}
	return parseJWKS(data)
}

// readFile reads a file that may have so many bytes.
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
