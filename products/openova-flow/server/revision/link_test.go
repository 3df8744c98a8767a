package revision_test

import (
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

func TestLinks_Commit(t *testing.T) {
	own, err := revision.ParseLinks("https://git.example.com/{path}/-/commit/{commit}")
	if err != nil {
		t.Fatal(err)
	}
	byHost, err := revision.ParseLinks("https://{host}/{path}/commits/{commit}?from={host}")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		links     revision.Links
		url, want string
	}{
		{revision.Links{}, "https://github.com/o/r", "https://github.com/o/r/commit/0123abc"},
		{revision.Links{}, "https://GitHub.com/o/r.git", "https://github.com/o/r/commit/0123abc"},
		{revision.Links{}, "https://user@github.com/o/r/", "https://github.com/o/r/commit/0123abc"},
		{revision.Links{}, "ssh://git@github.com/o/r.git", "https://github.com/o/r/commit/0123abc"},
		{revision.Links{}, "ssh://git@github.com:22/o/r", "https://github.com/o/r/commit/0123abc"},
		{revision.Links{}, "git@github.com:o/r.git", "https://github.com/o/r/commit/0123abc"},
		{revision.Links{}, "git@github.com:/o/r.git", "https://github.com/o/r/commit/0123abc"},
		{revision.Links{}, "https://gitlab.com/group/sub/r.git", "https://gitlab.com/group/sub/r/-/commit/0123abc"},
		{revision.Links{}, "https://codeberg.org/o/r", "https://codeberg.org/o/r/commit/0123abc"},
		{revision.Links{}, "https://gitea.com/o/r", "https://gitea.com/o/r/commit/0123abc"},
		{revision.Links{}, "git@bitbucket.org:o/r.git", "https://bitbucket.org/o/r/commits/0123abc"},
		{revision.Links{}, "https://git.example.com/o/r", ""},
		{own, "https://git.example.com/o/r", "https://git.example.com/o/r/-/commit/0123abc"},
		{own, "git@git.example.com:o/r", "https://git.example.com/o/r/-/commit/0123abc"},
		{own, "https://github.com/o/r", "https://github.com/o/r/commit/0123abc"},
		{byHost, "https://git.example.com:8443/o/r", "https://git.example.com:8443/o/r/commits/0123abc?from=git.example.com:8443"},
		{byHost, "ssh://git@git.example.com:2222/o/r.git", "https://git.example.com/o/r/commits/0123abc?from=git.example.com"},
		{byHost, "https://git.example.com/o/a b?x=1#y", "https://git.example.com/o/a%20b%3Fx=1%23y/commits/0123abc?from=git.example.com"},
		{byHost, "oci://ghcr.io/o/r", ""},
		{byHost, "https://github.com", ""},
		{byHost, "https://git.example.com/../r", ""},
		{byHost, "https://git.example.com/o//r", ""},
		{byHost, "https://evil\"host/o/r", ""},
		{byHost, "", ""},
	} {
		if got := c.links.Commit(c.url, "0123abc"); got != c.want {
			t.Errorf("%s is linked to %q, want %q", c.url, got, c.want)
		}
	}
	for _, bad := range []string{"", "0123ab", "javascript", "0123abc/..", "0123ABC"} {
		if got := own.Commit("https://github.com/o/r", bad); got != "" {
			t.Errorf("commit %q is linked to %q", bad, got)
		}
	}
}

func TestParseLinks_RejectsInvalidTemplates(t *testing.T) {
	for _, bad := range []string{"", "x", "http://git.example.com/{commit}", "https://git.example.com/", "https://git.example.com/{path}", "https:///{commit}", "https://{commit}/x",
		"https://{path}/{commit}", "https://a:b@git.example.com/{commit}", "https://git.example.com/{sha}/{commit}", "https://git.example.com/\"{commit}", "https://git.example.com/ %zz{commit}",
		"javascript://git.example.com/{commit}", "HTTPS://{path}/{commit}", "//git.example.com/{commit}"} {
		if l, err := revision.ParseLinks(bad); err == nil || l != (revision.Links{}) {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestRevision_IsFindsTagOfDigits(t *testing.T) {
	r := revision.Revision{Source: revision.Source{Kind: "OCIRepository"}, Revision: "20260131@sha256:" + strings.Repeat("ab", 32)}
	for text, want := range map[string]bool{"20260131": true, "20260130": false, "2026013": false, "sha256:ababababab": true} {
		if name, err := revision.ParseName(text); err != nil || r.Is(name) != want {
			t.Errorf("%s: Is is %v, %v; want %v", text, r.Is(name), err, want)
		}
	}
	r.Source = revision.Source{Kind: "GitRepository", Ref: "branch 20260131"}
	if name, err := revision.ParseName("20260131"); err != nil || r.Is(name) {
		t.Errorf("the name of a branch is accepted as a commit of it: %v", err)
	}
}

func TestParseName(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	sha512 := strings.Repeat("0123456789abcdef", 8)
	for text, want := range map[string]revision.Name{
		commit:                        {Digest: commit},
		"0123456":                     {Digest: "0123456"},
		"0123ABC":                     {Digest: "0123abc"},
		"main@sha1:" + commit:         {Ref: "main", Digest: commit},
		"refs/heads/x@sha1:" + commit: {Ref: "refs/heads/x", Digest: commit},
		"sha256:" + commit:            {Digest: commit},
		"1.2.3@sha256:" + commit:      {Ref: "1.2.3", Digest: commit},
		"sha512:" + sha512:            {Digest: sha512},
		"a/@b/c@sha1:" + commit:       {Ref: "a/@b/c", Digest: commit},
		"v1.2.3":                      {Ref: "v1.2.3"},
		"012345":                      {Ref: "012345"},
	} {
		if got, err := revision.ParseName(text); err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", text, got, err, want)
		}
	}
	branch := "renovate/@types/node"
	if got, want := revision.ReadName(branch+"@sha1:"+commit), (revision.Name{Ref: branch, Digest: commit}); got != want {
		t.Errorf("a branch with an @ is %+v, want %+v", got, want)
	}
	for _, bad := range []string{"", "-x", "a b", "main@sha1:", "main@sha1:01234", "a:b", "@sha1:" + commit + "0@", "main@md5:" + commit, strings.Repeat("a", 513), "sha1:xyz0123", "abc123@", "main@sha1:xyz", "main@sha1:abc", "x:y"} {
		if got, err := revision.ParseName(bad); err == nil {
			t.Errorf("%q is accepted as %+v", bad, got)
		}
	}
}
