package natslog

import "strings"

// A flow id is of A-Z a-z 0-9 . _ : -, of which . separates the tokens of a subject and : may not be in a key.
var (
	escape   = strings.NewReplacer(".", "=d", ":", "=c")
	unescape = strings.NewReplacer("=d", ".", "=c", ":")
)

// token is a flow id as one token of a subject or key.
func token(flowID string) string { return escape.Replace(flowID) }

// flowOf is the flow id of a token.
func flowOf(token string) string { return unescape.Replace(token) }

// numberToken stands for entries that are of no flow. No flow id gives it.
const numberToken = "=n"

func (l *Log) subjectOf(flowID string) string {
	if flowID == "" {
		return l.cfg.Name + ".log." + numberToken
	}
	return l.cfg.Name + ".log." + token(flowID)
}

func (l *Log) flowOfSubject(subject string) string {
	t := subject[strings.LastIndexByte(subject, '.')+1:]
	if t == numberToken {
		return ""
	}
	return flowOf(t)
}
