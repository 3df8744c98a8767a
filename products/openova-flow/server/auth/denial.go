package auth

import (
	"log/slog"
	"strconv"
	"strings"
)

// Reason is the reason of a denial, as a label of metrics.
type Reason string

// All reasons. Those up to Signature mean that the caller is unknown.
const (
	NoCredential Reason = "no_credential" // the request has no credential
	Malformed    Reason = "malformed"     // the credential can't be parsed, or there are two
	Unknown      Reason = "unknown"       // the token is not in the file, or the proxy that named the user is no longer trusted
	Algorithm    Reason = "algorithm"     // the signature algorithm is not accepted
	Issuer       Reason = "issuer"
	Audience     Reason = "audience"
	Subject      Reason = "subject"
	Key          Reason = "key"       // the key of the token is unknown, or too many keys may have signed it
	Signature    Reason = "signature" // no key of the entry verifies the token
	Expired      Reason = "expired"
	NotYet       Reason = "not_yet_valid"
	Scope        Reason = "scope"
	Flow         Reason = "flow"
	Region       Reason = "region"
	Origin       Reason = "origin" // the request comes from a page of another origin
	Host         Reason = "host"   // the Host header is neither localhost nor a loopback address
)

// Reasons has every Reason, for metrics.
var Reasons = [...]Reason{NoCredential, Malformed, Unknown, Algorithm, Issuer, Audience, Subject, Key, Signature, Expired, NotYet, Scope,
	Flow, Region, Origin, Host}

// Denial is the error for a denied caller.
type Denial struct {
	Reason Reason
	Name   string // of the caller; empty if unknown
	Field  string // of the message, such as nodes[3].region, or region for a claim; empty if it is about neither
	Line   int    // of the batch, from 1; 0 without a batch
	Detail string // what is wrong, for a person

	unverified *claims // claims of the token, only for the log: they may be forged
}

func (d *Denial) Error() string {
	text := d.Detail
	if d.Field != "" {
		text = d.Field + ": " + text
	}
	if d.Line > 0 {
		text = "line " + strconv.Itoa(d.Line) + ": " + text
	}
	return text
}

// Unauthenticated reports whether another credential is needed (401). Otherwise the caller lacks a permission (403).
func (d *Denial) Unauthenticated() bool {
	switch d.Reason {
	case Scope, Flow, Region, Origin, Host:
		return false
	}
	return true
}

// Challenge returns the WWW-Authenticate header for an unauthenticated caller (RFC 6750).
func (d *Denial) Challenge() string {
	if d.Reason == NoCredential {
		return `Bearer realm="openova-flow"`
	}
	return `Bearer realm="openova-flow", error="invalid_token"`
}

// LogValue implements slog.LogValuer. The value has the unverified claims of a JSON Web Token, but no secret.
func (d *Denial) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("reason", string(d.Reason)), slog.String("name", d.Name)}
	if d.Field != "" {
		attrs = append(attrs, slog.String("field", d.Field))
	}
	if d.Line > 0 {
		attrs = append(attrs, slog.Int("line", d.Line))
	}
	attrs = append(attrs, slog.String("detail", d.Detail))
	if c := d.unverified; c != nil {
		attrs = append(attrs, slog.Group("unverified", "iss", printable(c.issuer), "aud", printable(strings.Join(c.audience, " ")), "sub", printable(c.subject), "kid", printable(c.kid)))
	}
	return slog.GroupValue(attrs...)
}

// printable shortens and escapes untrusted text for a log.
func printable(s string) string {
	const most = 200
	cut := ""
	if len(s) > most {
		s, cut = s[:most], "…"
	}
	quoted := strconv.Quote(s)
	return quoted[1:len(quoted)-1] + cut
}
