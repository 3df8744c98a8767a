package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// config is the content of the tokens file.
type config struct {
	tokens []tokenEntry
	trust  []trustEntry
	proxy  *proxyEntry
}

type tokenEntry struct {
	name        string
	sum         [sha256.Size]byte
	permissions permissions
}

type trustEntry struct {
	name, issuer, audience, subject string
	source                          keySource
	permissions                     permissions
}

// keySource is where the keys of a trust entry come from: a file, or a URL. Without a CA file, the system's CAs verify the
// certificate of the URL's server.
type keySource struct{ file, url, caFile string }

type proxyEntry struct {
	peers       []netip.Prefix
	header      string
	permissions permissions
}

// parseConfig parses the tokens file. Its errors repeat no value that may be a secret.
func parseConfig(data []byte) (*config, error) {
	v, err := parseJSON(data)
	if err != nil {
		return nil, err
	}
	p := configParser{names: map[string]string{}}
	top := p.object("", v, "tokens", "trust", "proxy")
	c := new(config)
	sums := map[[sha256.Size]byte]int{}
	for i, v := range p.list("", top, "tokens") {
		t := p.token(fmt.Sprintf("tokens[%d]", i), v)
		if j, twice := sums[t.sum]; twice {
			p.fail(fmt.Sprintf("tokens[%d].sha256", i), "is the same as that of tokens[%d]; each entry needs its own token", j)
		}
		sums[t.sum] = i
		c.tokens = append(c.tokens, t)
	}
	for i, v := range p.list("", top, "trust") {
		c.trust = append(c.trust, p.trust(fmt.Sprintf("trust[%d]", i), v))
		for j := range i {
			if c.trust[i].sameTokens(&c.trust[j]) {
				p.fail(fmt.Sprintf("trust[%d]", i), "trusts the same tokens as trust[%d]; merge the two entries", j)
			}
		}
	}
	if v, present := top["proxy"]; present {
		c.proxy = p.proxy("proxy", v)
	}
	if p.err == nil && len(c.tokens) == 0 && len(c.trust) == 0 && c.proxy == nil {
		p.err = errors.New("no caller would be allowed: add an entry to tokens or trust, or a proxy")
	}
	if p.err != nil {
		return nil, p.err
	}
	return c, nil
}

type configParser struct {
	reader
	names map[string]string // path of each entry, by name
}

// entry reads the fields that all named entries have. named is the path with the name, for later errors.
func (p *configParser) entry(path string, m map[string]any) (name, named string, r permissions) {
	name = p.need(path, m, "name")
	switch {
	case !validName(name):
		p.fail(path+".name", "must be 1 to 128 characters of A-Z a-z 0-9 . _ -, and not a token")
		return "", path, r
	case p.names[name] != "":
		p.fail(path+".name", "%s is already the name of %s", name, p.names[name])
	}
	p.names[name] = path
	named = path + " (" + name + ")"
	return name, named, p.permissions(named, m)
}

func (p *configParser) token(path string, v any) (t tokenEntry) {
	m := p.object(path, v, "name", "sha256", "scopes", "flows", "regions")
	t.name, path, t.permissions = p.entry(path, m)
	sum, err := hex.DecodeString(p.need(path, m, "sha256"))
	if err != nil || len(sum) != len(t.sum) {
		p.fail(path+".sha256", "must be the SHA-256 of the token, 64 hex digits")
	}
	copy(t.sum[:], sum)
	return t
}

func (p *configParser) trust(path string, v any) (t trustEntry) {
	m := p.object(path, v, "name", "issuer", "audience", "subject", "jwksFile", "jwksURL", "jwksCAFile", "scopes", "flows", "regions")
	t.name, path, t.permissions = p.entry(path, m)
	t.issuer, t.audience, t.subject = p.need(path, m, "issuer"), p.need(path, m, "audience"), p.need(path, m, "subject")
	t.source = keySource{file: p.text(path, m, "jwksFile"), url: p.text(path, m, "jwksURL"), caFile: p.text(path, m, "jwksCAFile")}
	switch s := t.source; {
	case (s.file == "") == (s.url == ""):
		p.fail(path, "needs either jwksFile or jwksURL")
	case s.url != "" && !fetchable(s.url):
		p.fail(path+".jwksURL", "must be an https URL without user and fragment; http is allowed for loopback only")
	case s.caFile != "" && !strings.HasPrefix(s.url, "https:"):
		p.fail(path+".jwksCAFile", "needs a jwksURL with https")
	}
	return t
}

// sameTokens reports whether two entries trust the same tokens by keys from the same source.
func (t *trustEntry) sameTokens(o *trustEntry) bool {
	return t.issuer == o.issuer && t.audience == o.audience && t.subject == o.subject && t.source == o.source
}

// fetchable reports whether keys may be fetched from a URL. An attacker who can change them on the way can
// authenticate as the entry's caller.
func fetchable(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Fragment != "" || u.Host == "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && IsLoopback(u.Hostname())
}

func (p *configParser) proxy(path string, v any) *proxyEntry {
	m := p.object(path, v, "peers", "header", "scopes", "flows")
	e := &proxyEntry{header: http.CanonicalHeaderKey(p.need(path, m, "header")), permissions: p.permissions(path, m)}
	if !validHeader(e.header) {
		p.fail(path+".header", "must be the name of a header that only the proxy sets, such as X-Forwarded-User")
	}
	peers := p.texts(path, m, "peers")
	if peers == nil {
		p.fail(path+".peers", "is missing; list the addresses of the proxy")
	}
	for i, text := range peers {
		peer, err := parsePeer(text)
		if err != nil {
			p.fail(fmt.Sprintf("%s.peers[%d]", path, i), "%v", err)
		}
		e.peers = append(e.peers, peer)
	}
	return e
}

func parsePeer(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	peer, err := netip.ParsePrefix(text)
	switch {
	case err != nil || peer.Addr().Is4In6():
		return peer, errors.New("must be an address, or a prefix such as 10.0.0.0/8")
	case peer != peer.Masked():
		return peer, fmt.Errorf("is not a prefix; use %s", peer.Masked())
	case peer.Bits() == 0:
		return peer, errors.New("would let any client name any user")
	}
	return peer, nil
}

// permissions reads what an entry allows.
func (p *configParser) permissions(path string, m map[string]any) (r permissions) {
	names := p.texts(path, m, "scopes")
	if names == nil {
		p.fail(path+".scopes", "is missing; allowed: read, ingest, admin")
	}
	for i, name := range names {
		s, ok := scopeOf(name)
		if !ok {
			p.fail(fmt.Sprintf("%s.scopes[%d]", path, i), "allowed: read, ingest, admin")
		}
		r.scopes |= s
	}
	if r.flows = p.texts(path, m, "flows"); r.flows == nil {
		p.fail(path+".flows", "is missing; list flow ids, in which * stands for any characters")
	}
	for i, pattern := range r.flows {
		if !validPattern(pattern) {
			p.fail(fmt.Sprintf("%s.flows[%d]", path, i), "must be 1 to 128 characters of A-Z a-z 0-9 . _ : - *")
		}
	}
	r.regions = p.texts(path, m, "regions")
	for i, region := range r.regions {
		if !validRegion(region) {
			p.fail(fmt.Sprintf("%s.regions[%d]", path, i), "must be 1 to 128 lower-case letters, digits and -, and begin and end with a letter or digit")
		}
	}
	if r.regions != nil && r.scopes&scopeIngest == 0 {
		p.fail(path+".regions", "limits writes, so the entry needs the scope ingest")
	}
	slices.Sort(r.regions)
	return r
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// validIdent reports whether s is 1 to 128 letters, digits and characters of more.
func validIdent(s, more string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && strings.IndexByte(more, s[i]) < 0 {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 128
}

// validName rejects names that look like tokens, so that a misplaced token does not get into the log.
func validName(s string) bool { return validIdent(s, "._-") && !strings.HasPrefix(s, tokenPrefix) }

func validPattern(s string) bool { return validIdent(s, "._:-*") }

func validRegion(s string) bool {
	return validIdent(s, "-") && s == strings.ToLower(s) && s[0] != '-' && s[len(s)-1] != '-'
}

func validHeader(s string) bool {
	switch s {
	case "Authorization", "Cookie", "Host", "Origin", "Connection":
		return false
	}
	return validIdent(s, "-_")
}

// IsLoopback reports whether a host without port is localhost or a loopback address.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
