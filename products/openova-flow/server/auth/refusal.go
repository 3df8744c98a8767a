package auth

import (
	"log/slog"
	"strconv"
	"strings"
)

// Reason is why a caller is turned away, in one word that fits a metric's label.
type Reason string

// All reasons. Those up to Signature mean that the server does not know who calls.
const (
	NoCredential Reason = "no_credential" // none was sent
	Malformed    Reason = "malformed"     // one that can't be read, or two
	Unknown      Reason = "unknown"       // a token that the file does not have, or a user from a peer that it does not list
	Algorithm    Reason = "algorithm"     // signed in a way that is not accepted
	Issuer       Reason = "issuer"
	Audience     Reason = "audience"
	Subject      Reason = "subject"
	Key          Reason = "key"       // no key that may have signed it is known
	Signature    Reason = "signature" // no key of the entry verifies it
	Expired      Reason = "expired"
	NotYet       Reason = "not_yet_valid"
	Scope        Reason = "scope"
	Flow         Reason = "flow"
	Region       Reason = "region"
	Origin       Reason = "origin" // a page of another origin
	Host         Reason = "host"   // a name that is not this machine's
)

// Reasons is every Reason, for who counts them.
var Reasons = [...]Reason{NoCredential, Malformed, Unknown, Algorithm, Issuer, Audience, Subject, Key, Signature, Expired, NotYet, Scope,
	Flow, Region, Origin, Host}

// Refusal is the error that turns a caller away.
type Refusal struct {
	Reason Reason
	Name   string // of the caller, empty when it is not known
	Field  string // of the message, such as nodes[3].region; empty when it is not about an element
	Line   int    // of the batch, from 1; 0 when there is none
	Detail string // what is wrong, for a person

	unverified *claims // of the token, for the log alone: whoever sent it may have made them up
}

func (r *Refusal) Error() string {
	text := r.Detail
	if r.Field != "" {
		text = r.Field + ": " + text
	}
	if r.Line > 0 {
		text = "line " + strconv.Itoa(r.Line) + ": " + text
	}
	return text
}

// Unauthenticated reports whether another credential is called for (401). Otherwise the caller may not do what it asks (403).
func (r *Refusal) Unauthenticated() bool {
	switch r.Reason {
	case Scope, Flow, Region, Origin, Host:
		return false
	}
	return true
}

// Challenge is the WWW-Authenticate header of an answer to a caller that is not known (RFC 6750).
func (r *Refusal) Challenge() string {
	if r.Reason == NoCredential {
		return `Bearer realm="openova-flow"`
	}
	return `Bearer realm="openova-flow", error="invalid_token"`
}

// LogValue is what a log says of a refusal: who, why, and of a JSON Web Token whom it says that it is from. It has nothing that lets anybody in.
func (r *Refusal) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("reason", string(r.Reason)), slog.String("name", r.Name)}
	if r.Field != "" {
		attrs = append(attrs, slog.String("field", r.Field))
	}
	if r.Line > 0 {
		attrs = append(attrs, slog.Int("line", r.Line))
	}
	attrs = append(attrs, slog.String("detail", r.Detail))
	if c := r.unverified; c != nil {
		attrs = append(attrs, slog.Group("unverified", "iss", printable(c.issuer), "aud", printable(strings.Join(c.audience, " ")), "sub", printable(c.subject), "kid", printable(c.kid)))
	}
	return slog.GroupValue(attrs...)
}

// printable is what came from outside as a log may have it: cut, and escaped where it is not plain text.
func printable(s string) string {
	const most = 200
	cut := ""
	if len(s) > most {
		s, cut = s[:most], "…"
	}
	quoted := strconv.Quote(s)
	return quoted[1:len(quoted)-1] + cut
}
