package revision

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// Links makes URLs of commits. Its zero value knows GitHub, GitLab, Codeberg, Gitea and Bitbucket by their hosts.
type Links struct {
	template string // of other hosts
}

var errTemplate = errors.New("not an https:// URL with the placeholder {commit} in its path; the other placeholders are {host} and {path}")

var linksOfHosts = map[string]string{
	"github.com":    "https://{host}/{path}/commit/{commit}",
	"gitlab.com":    "https://{host}/{path}/-/commit/{commit}",
	"codeberg.org":  "https://{host}/{path}/commit/{commit}",
	"gitea.com":     "https://{host}/{path}/commit/{commit}",
	"bitbucket.org": "https://{host}/{path}/commits/{commit}",
}

// ParseLinks returns Links that use a template, such as https://git.example.com/{path}/-/commit/{commit}, for all hosts that are not known.
func ParseLinks(template string) (Links, error) {
	rest, secure := strings.CutPrefix(template, "https://")
	host, path, _ := strings.Cut(rest, "/")
	filled := fill(template, "git.example.com", "path", "0")
	u, err := url.Parse(filled)
	switch {
	case err != nil, !secure, u.Host == "", u.User != nil,
		!strings.Contains(path, "{commit}"), strings.Contains(host, "{commit}"), strings.Contains(host, "{path}"),
		strings.ContainsAny(filled, "{}\"'<>\\`"):
		return Links{}, errTemplate
	}
	return Links{template}, nil
}

var hostSyntax = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$`)

func fill(template, host, path, commit string) string {
	return strings.NewReplacer("{host}", host, "{path}", path, "{commit}", commit).Replace(template)
}

// Commit returns the URL of a commit of a Git repository; empty if the host is unknown and l has no template, or if the repository's URL or the commit is
// invalid.
func (l Links) Commit(repository, commit string) string {
	host, path := address(repository)
	if strings.HasPrefix(repository, "oci://") || !hostSyntax.MatchString(host) || path == "" || !IsDigest(commit) {
		return ""
	}
	template := linksOfHosts[host]
	if template == "" {
		template = l.template
	}
	if template == "" {
		return ""
	}
	for _, part := range strings.Split(path, "/") {
		if part == "" || part == "." || part == ".." {
			return ""
		}
	}
	u := url.URL{Path: "/" + path}
	return fill(template, host, strings.TrimPrefix(u.EscapedPath(), "/"), commit)
}
