package natslog

import "strings"

// A flow id consists of A-Z a-z 0-9 . _ : -. The dot separates subject tokens, and a key must not contain a colon.
var (
	escape   = strings.NewReplacer(".", "=d", ":", "=c")
	unescape = strings.NewReplacer("=d", ".", "=c", ":")
)

// tokenOf encodes a flow id as one token of a subject or key.
func tokenOf(flowID string) string { return escape.Replace(flowID) }

func flowOfToken(token string) string { return unescape.Replace(token) }

// noFlowToken is the subject token of entries without a flow. No flow id encodes to it.
const noFlowToken = "=n"

func (l *Log) subjectOf(flowID string) string {
	if flowID == "" {
		return l.cfg.Name + ".log." + noFlowToken
	}
	return l.cfg.Name + ".log." + tokenOf(flowID)
}

// allSubjects matches every entry of the log.
func (l *Log) allSubjects() string { return l.cfg.Name + ".log.*" }

func flowOfSubject(subject string) string {
	t := subject[strings.LastIndexByte(subject, '.')+1:]
	if t == noFlowToken {
		return ""
	}
	return flowOfToken(t)
}
