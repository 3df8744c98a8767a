package notice

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// Limits of texts that come from a cluster, in bytes, and of lists. Ids have no limit in a flow, but no name in a cluster is as long as maxName.
const (
	maxName     = 512
	maxSentence = 4096
	maxFailure  = 1024
	maxNeeds    = 50
	maxCauses   = 100 // root causes of a region
)

// fit cuts texts and lists to their limits, and drops a command with an argument above maxName. Different names stay different.
func (n *Notice) fit() {
	n.Key, n.Label, n.Object, n.Class, n.Sentence = name(n.Key), name(n.Label), name(n.Object), name(n.Class), cut(n.Sentence, maxSentence)
	n.Regions, n.Nodes, n.Blocks = names(n.Regions), names(n.Nodes), names(n.Blocks)
	if slices.ContainsFunc(n.Command, func(a string) bool { return len(a) > maxName }) {
		n.Command = nil
	}
	if n.Revision != nil {
		r := *n.Revision
		r.Source, r.Results = name(r.Source), maps.Clone(r.Results)
		for region, result := range r.Results {
			result.Sentence = cut(result.Sentence, maxSentence)
			r.Results[region] = result
		}
		n.Revision = &r
	}
	if n.Rollout == nil {
		return
	}
	for i := range n.Rollout.Members {
		m := &n.Rollout.Members[i]
		for _, field := range []*string{&m.ID, &m.Label, &m.Region, &m.Object, &m.VersionFrom, &m.VersionTo, &m.Revision, &m.Source} {
			*field = name(*field)
		}
		m.Needs, m.Failure = names(m.Needs[:min(maxNeeds, len(m.Needs))]), cut(m.Failure, maxFailure)
	}
}

// cut returns a text of at most limit bytes: the whole text, or its beginning and "…".
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
}

// name cuts a name to maxName bytes. A cut name ends with a digest of the whole name.
func name(text string) string {
	if len(text) <= maxName {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	digest := hex.EncodeToString(sum[:8])
	return cut(text, maxName-len(digest)) + digest
}

func names(list []string) []string {
	if !slices.ContainsFunc(list, func(s string) bool { return len(s) > maxName }) {
		return list
	}
	short := make([]string, len(list))
	for i, s := range list {
		short[i] = name(s)
	}
	return short
}
