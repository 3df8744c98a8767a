package revision

import (
	"fmt"
	"regexp"
	"strings"
)

// Name is a revision as Flux writes it (main@sha1:0123…, 1.2.3@sha256:…, sha256:…), or a part of one.
type Name struct {
	Ref    string // branch, tag or chart version; empty if unknown
	Digest string // commit or digest, or its first digits, in lower case; empty if unknown
}

// minDigest is how many digits of a commit or digest are enough to identify it.
const minDigest = 7

var (
	digestSyntax = regexp.MustCompile(`^[0-9a-f]{7,128}$`)
	refSyntax    = regexp.MustCompile(`^[^\s@:-][^\s@:]*$`)
	branchSyntax = regexp.MustCompile(`^[^\s:-][^\s:]*$`) // also with an @
)

// ParseName reads what a person asks for: a commit or at least 7 digits of it, branch@sha1:commit, an OCI digest or tag, or a chart version. Another
// name, such as HEAD, becomes a Ref.
func ParseName(text string) (Name, error) {
	n := ReadName(text)
	switch {
	case len(text) > 512,
		n.Digest == "" && !refSyntax.MatchString(n.Ref),
		n.Digest != "" && !IsDigest(n.Digest),
		n.Digest != "" && n.Ref != "" && !branchSyntax.MatchString(n.Ref):
		return Name{}, fmt.Errorf("invalid revision %.200q; allowed: a commit (at least %d digits of it), branch@sha1:commit, an OCI digest or tag, a chart version", text, minDigest)
	}
	return n, nil
}

// ReadName reads a revision that Flux wrote, or a commit alone. Any other text becomes a Ref.
func ReadName(text string) Name {
	ref, digest, both := "", text, false
	if at := strings.LastIndexByte(text, '@'); at >= 0 { // a branch may have an @ in its name
		ref, digest, both = text[:at], text[at+1:], true
	}
	algorithm, hex, named := strings.Cut(digest, ":")
	switch {
	case named && hex != "" && (algorithm == "sha1" || algorithm == "sha256" || algorithm == "sha512"):
		return Name{ref, strings.ToLower(hex)}
	case both:
		return Name{text, ""}
	case IsDigest(strings.ToLower(text)):
		return Name{"", strings.ToLower(text)}
	}
	return Name{text, ""}
}

// IsDigest reports whether a text is a commit or a digest, or at least minDigest digits of one, in lower case.
func IsDigest(text string) bool { return digestSyntax.MatchString(text) }

// Is reports whether got is the revision that want asks for. A ref alone identifies a revision only if byRef is true: a branch has the same name at every
// commit.
func (want Name) Is(got Name, byRef bool) bool {
	switch {
	case want.Digest == "":
		return byRef && want.Ref == got.Ref
	case byRef && want.Ref == "" && want.Digest == got.Ref: // a tag of digits, such as 20260131, is read as a digest
		return true
	case want.Ref != "" && got.Ref != "" && want.Ref != got.Ref:
		return false
	}
	return len(got.Digest) >= len(want.Digest) && got.Digest[:len(want.Digest)] == want.Digest
}

// commitOf returns the full commit of a revision, empty if it has none.
func commitOf(text string) string {
	if n := ReadName(text); (len(n.Digest) == 40 || len(n.Digest) == 64) && IsDigest(n.Digest) {
		return n.Digest
	}
	return ""
}
