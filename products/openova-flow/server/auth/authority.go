package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxFile      = 4 << 20
	readEvery    = 2 * time.Second
	recheckEvery = time.Second // between two checks of open sessions
)

// Authority decides who a caller is. It is safe for concurrent use.
type Authority struct {
	path string
	log  *slog.Logger
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	all  *Grant // of every caller if there is no access control; else nil

	policy     atomic.Pointer[policy]
	generation atomic.Uint64 // increases after each change of policy or keys
	seen       string        // content of the file at the last read, or the error; used only by Load and read
	failing    atomic.Bool

	mu       sync.Mutex
	sessions map[*Session]struct{}
}

// Unguarded returns an Authority for a server without access control: every caller has all permissions.
func Unguarded() *Authority {
	return &Authority{all: &Grant{name: "anonymous", permissions: permissions{scopes: scopeAll, flows: []string{"*"}}}}
}

// Guarded reports whether there is access control.
func (a *Authority) Guarded() bool { return a.all == nil }

// Load returns an Authority for a tokens file. It starts no goroutine: call Run to keep it up to date. Keys with a URL are fetched by Run, and by the check
// of a token whose key is unknown. If log is nil, it uses slog.Default.
func Load(path string, log *slog.Logger) (*Authority, error) {
	if log == nil {
		log = slog.Default()
	}
	a := &Authority{path: path, log: log, dial: new(net.Dialer).DialContext, sessions: map[*Session]struct{}{}}
	a.policy.Store(new(policy))
	data, err := readFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	a.seen = string(data)
	p, err := a.newPolicy(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, t := range p.trust {
		if err := t.keys.load(); err != nil {
			return nil, fmt.Errorf("%s: the jwksFile of %s: %w", path, t.name, err)
		}
	}
	a.policy.Store(p)
	return a, nil
}

// Failing reports whether the file is unreadable or invalid, so that its previous content stays in force.
func (a *Authority) Failing() bool { return a.failing.Load() }

// Run reads the files again when they change, fetches keys and ends sessions, until ctx ends.
func (a *Authority) Run(ctx context.Context) {
	if !a.Guarded() {
		<-ctx.Done()
		return
	}
	var fetches sync.WaitGroup
	defer fetches.Wait()
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	var lastRead time.Time
	for {
		now := time.Now()
		if now.Sub(lastRead) >= readEvery {
			lastRead = now
			a.read()
		}
		for _, t := range a.policy.Load().trust {
			if t.keys.due(now) {
				fetches.Go(func() { t.keys.fetch(ctx, ctx) })
			}
		}
		a.recheckSessions(now)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// read applies changes of the files.
func (a *Authority) read() {
	if err := a.readMain(); err != nil {
		a.log.Error("tokens file not reloaded, keeping previous content", "file", a.path, "err", err)
	}
	a.readKeys(a.policy.Load())
}

// readKeys reads the key sets that are in files. An unusable one affects only its own entry.
func (a *Authority) readKeys(p *policy) {
	for _, t := range p.trust {
		if err := t.keys.load(); err != nil {
			a.log.Error("key set not reloaded, keeping previous keys", "entry", t.name, "err", err)
		}
	}
}

func (a *Authority) readMain() error {
	data, err := readFile(a.path, maxFile)
	seen := string(data)
	if err != nil {
		seen = "error " + err.Error()
	}
	if seen == a.seen {
		return nil
	}
	a.seen = seen
	var p *policy
	if err == nil {
		p, err = a.newPolicy(data)
	}
	a.failing.Store(err != nil)
	if err != nil {
		return err
	}
	a.readKeys(p)
	a.policy.Store(p)
	a.changed()
	a.log.Info("tokens file reloaded", "file", a.path, "tokens", len(p.tokens), "trust", len(p.trust))
	return nil
}

// changed must be called after policy or keys were stored, so that a check that loads the new generation also loads the new policy and keys.
func (a *Authority) changed() { a.generation.Add(1) }

// policy is a parsed file, and the tokens that were verified with it.
type policy struct {
	tokens map[[sha256.Size]byte]*tokenEntry // by the SHA-256 of the token, so that the time of a lookup reveals nothing about tokens
	trust  []trusted
	proxy  *proxyEntry
	cache  cache
}

// trusted is a trust entry with its keys.
type trusted struct {
	trustEntry
	keys *keyring
}

// newPolicy parses the content of the file. A trust entry with the name and the key source of a previous one keeps its keys.
func (a *Authority) newPolicy(data []byte) (*policy, error) {
	c, err := parseConfig(data)
	if err != nil {
		return nil, err
	}
	p := &policy{tokens: make(map[[sha256.Size]byte]*tokenEntry, len(c.tokens)), proxy: c.proxy}
	for i := range c.tokens {
		p.tokens[c.tokens[i].sum] = &c.tokens[i]
	}
	old := a.policy.Load().trust
	for _, e := range c.trust {
		e.source.file, e.source.caFile = a.relative(e.source.file), a.relative(e.source.caFile)
		t := trusted{trustEntry: e}
		if i := slices.IndexFunc(old, func(o trusted) bool { return o.name == e.name && o.source == e.source }); i >= 0 {
			t.keys = old[i].keys
		} else {
			t.keys = &keyring{name: e.name, source: e.source, log: a.log, dial: a.dial, changed: a.changed}
			t.keys.set.Store(new(keySet))
		}
		p.trust = append(p.trust, t)
	}
	return p, nil
}

// relative resolves a path in the tokens file, relative to the file's folder.
func (a *Authority) relative(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(a.path), path)
}

// check returns the grant of a credential. It calls fetch, if that is not nil, only for keyrings that lack the key of a token.
func (a *Authority) check(c Credential, fetch func(*keyring)) (*Grant, *Denial) {
	if !a.Guarded() {
		return a.all, nil
	}
	g := &Grant{credential: c, generation: a.generation.Load()} // the generation must be read before the policy
	p := a.policy.Load()
	switch c.kind {
	case kindNone:
		return nil, &Denial{Reason: NoCredential, Detail: "no credential: send Authorization: Bearer TOKEN, or sign in"}
	case kindProxy:
		if p.proxy == nil || p.proxy.header != c.header || !p.proxy.trusts(c.peer) {
			return nil, &Denial{Reason: Unknown, Name: "user:" + c.user, Detail: "the proxy is not trusted"}
		}
		g.name, g.permissions = "user:"+c.user, p.proxy.permissions
		return g, nil
	}
	token := c.token.Value()
	sum := sha256.Sum256([]byte(token))
	if t := p.tokens[sum]; t != nil {
		g.name, g.permissions = t.name, t.permissions
		return g, nil
	}
	if len(p.trust) == 0 || strings.Count(token, ".") != 2 {
		return nil, &Denial{Reason: Unknown, Detail: "unknown token: no entry of the tokens file has its SHA-256"}
	}
	t, expires, denial := p.verify(token, sum, time.Now(), fetch)
	if denial != nil {
		return nil, denial
	}
	g.name, g.permissions, g.expires = t.name, t.permissions, expires
	return g, nil
}

// verify returns the trust entry that matches the claims of a JSON Web Token and whose keys verify it, and when the token expires.
func (p *policy) verify(token string, sum [sha256.Size]byte, now time.Time, fetch func(*keyring)) (*trusted, time.Time, *Denial) {
	if v, ok := p.cache.get(sum, now); ok {
		return v.entry, v.expires, nil
	}
	c, denial := parseJWT(token)
	if denial != nil {
		return nil, time.Time{}, denial
	}
	t, keys, denial := p.verifyClaims(c, now, fetch)
	if denial != nil {
		denial.unverified = c
		return nil, time.Time{}, denial
	}
	p.cache.put(sum, verified{entry: t, keys: keys, expires: c.expires}, now)
	return t, c.expires, nil
}

func (p *policy) verifyClaims(c *claims, now time.Time, fetch func(*keyring)) (*trusted, *keySet, *Denial) {
	fitting, denial := p.fitting(c)
	switch {
	case denial != nil:
		return nil, nil, denial
	case !c.hasKID && len(fitting) > 1:
		return nil, nil, unnamedKey("entries of trust")
	}
	invalidNow := c.checkTime(now)
	t, keys, unknown, denial := verifiedBy(fitting, c)
	if t == nil && invalidNow == nil && fetch != nil {
		t, keys, denial = verifiedAfter(fetch, unknown, c, denial)
	}
	switch {
	case t == nil:
		return nil, nil, denial
	case invalidNow != nil:
		invalidNow.Name = t.name
		return nil, nil, invalidNow
	}
	return t, keys, nil
}

// unnamedKey is the denial for a token without a kid for which several keys would have to be tried.
func unnamedKey(what string) *Denial {
	return &Denial{Reason: Key, Detail: "the token has no kid, and several " + what + " may have signed it; its issuer must set the kid"}
}

// fitting returns the entries that match issuer, audience and subject of a token, or the denial if there are none.
func (p *policy) fitting(c *claims) (list []*trusted, denial *Denial) {
	denial = &Denial{Reason: Issuer, Detail: "the token's issuer is not trusted"}
	for i := range p.trust {
		switch t := &p.trust[i]; {
		case t.issuer != c.issuer:
		case !slices.Contains(c.audience, t.audience):
			if denial.Reason == Issuer {
				denial = &Denial{Reason: Audience, Detail: "the token is for another audience"}
			}
		case t.subject != c.subject:
			denial = &Denial{Reason: Subject, Detail: "the token's subject is not trusted"}
		default:
			list = append(list, t)
		}
	}
	if list != nil {
		denial = nil
	}
	return list, denial
}

// verifiedBy returns the first entry with a key that verifies the token, and its key set; otherwise the entries for which a fetch of
// the keys may help, and the denial. It tries the keys that the token names first, then those without a kid, at most maxVerifications in all.
func verifiedBy(entries []*trusted, c *claims) (by *trusted, in *keySet, unknown []*trusted, denial *Denial) {
	denial = &Denial{Reason: Key, Detail: "the token's key (kid) is unknown"}
	var named, unnamed []candidate
	for _, t := range entries {
		set := t.keys.current()
		exact, others := set.candidates(c)
		switch {
		case !c.hasKID && len(others) > 1:
			return nil, nil, nil, unnamedKey("keys")
		case len(exact) > 0, !c.hasKID && len(others) > 0:
			denial = &Denial{Reason: Signature, Detail: "the token's signature is invalid"}
		default:
			unknown = append(unknown, t)
		}
		for _, k := range exact {
			named = append(named, candidate{t, set, k})
		}
		for _, k := range others {
			unnamed = append(unnamed, candidate{t, set, k})
		}
	}
	for _, try := range append(named, unnamed...) {
		if !c.fits(try.key) {
			continue
		}
		if c.tried == maxVerifications {
			return nil, nil, nil, &Denial{Reason: Key, Detail: fmt.Sprintf("more than %d keys may have signed the token; give each key its own kid", maxVerifications)}
		}
		c.tried++
		if c.verifies(try.key) {
			return try.entry, try.set, nil, nil
		}
	}
	return nil, nil, unknown, denial
}

// candidate is a key that may have signed a token, with its entry.
type candidate struct {
	entry *trusted
	set   *keySet
	key   key
}

// verifiedAfter fetches the keys of the entries in unknown, and tries again after each fetch. It returns as soon as one brings the key, so an entry whose
// URL does not answer does not delay the others.
func verifiedAfter(fetch func(*keyring), unknown []*trusted, c *claims, denial *Denial) (*trusted, *keySet, *Denial) {
	fetched := make(chan *trusted, len(unknown))
	for _, t := range unknown {
		go func() {
			fetch(t.keys)
			fetched <- t
		}()
	}
	for range unknown {
		t, keys, _, d := verifiedBy([]*trusted{<-fetched}, c)
		if t != nil {
			return t, keys, nil
		}
		if d.Reason == Signature {
			denial = d
		}
	}
	return nil, nil, denial
}
