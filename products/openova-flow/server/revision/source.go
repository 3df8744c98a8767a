package revision

import "strings"

const (
	kindGit = "GitRepository"
	kindOCI = "OCIRepository"
)

// sourceKinds are the kinds of sources whose revisions are followed. HelmRepository is not one of them: its revision changes with every chart in its index.
var sourceKinds = map[string]bool{kindGit: true, kindOCI: true, "Bucket": true, "ExternalArtifact": true}

// Source identifies a source (docs/meta.md) without its region.
type Source struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	URL       string `json:"url,omitempty"`
	Ref       string `json:"ref,omitempty"` // the followed reference, such as "branch main"
}

// Follows returns a text that is equal for sources of equal kind, repository and reference; empty without a URL.
func (s Source) Follows() string {
	if s.URL == "" {
		return ""
	}
	host, path := address(s.URL)
	return s.Kind + " " + host + "/" + path + " " + s.Ref
}

// ByRef reports whether the tag or version in a revision of the source is enough to ask for it. A branch is not: it has the same name at every commit.
func (s Source) ByRef() bool {
	switch s.Kind {
	case kindOCI:
		return true
	case kindGit:
		return strings.HasPrefix(s.Ref, "tag ") || strings.HasPrefix(s.Ref, "semver ")
	}
	return false
}

// address normalizes the URL of a repository: https://host/path.git, ssh://git@host:22/path and git@host:path are equal.
func address(url string) (host, path string) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		rest = url
	}
	host, path, _ = strings.Cut(rest, "/")
	if _, at, found := strings.Cut(host, "@"); found {
		host = at
	}
	// The colons of an IPv6 address are in brackets.
	ipv6 := strings.IndexByte(host, ']') + 1
	if name, begin, colon := strings.Cut(host[ipv6:], ":"); colon && !ok { // git@host:path
		host, path = host[:ipv6]+name, begin+"/"+path
	} else if scheme == "ssh" { // its port differs from that of https
		host = host[:ipv6] + name
	}
	return strings.ToLower(host), strings.TrimSuffix(strings.Trim(path, "/"), ".git")
}
