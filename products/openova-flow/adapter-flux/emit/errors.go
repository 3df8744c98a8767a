package emit

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
)

var (
	errNotAServer   = errors.New("the answer has status 200, but is not that of a flow server; check FLOW_SERVER_URL, and proxies on the way")
	errNotLoaded    = errors.New("the cluster's objects have not been listed and mapped yet")
	errNotCompared  = errors.New("the flow server has not been compared with the cluster yet")
	errNotASnapshot = errors.New("the flow server's snapshot cannot be read; check FLOW_SERVER_URL, and that the versions of server and adapter match")
)

// unreadable reports whether err is about the content of a snapshot.
func unreadable(err error) bool {
	return errors.Is(err, errNotASnapshot) || errors.Is(err, errElementTooLarge) || errors.Is(err, errPartTooLarge)
}

// fileError is the error of a configured file that cannot be used.
type fileError struct {
	setting string // that names the file
	err     error
}

func (e *fileError) Error() string {
	return fmt.Sprintf("%s cannot be used: %v", e.setting, e.err)
}

func (e *fileError) Unwrap() error { return e.err }

// unanswered returns an error that says why a request got no usable answer and, where that is known, what to change.
func unanswered(err error) error {
	var (
		file      *fileError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		host      x509.HostnameError
		record    tls.RecordHeaderError
		op        *net.OpError
		dns       *net.DNSError
	)
	switch {
	case errors.As(err, &file), errors.Is(err, errNotAServer):
		return err
	case errors.As(err, &authority):
		return fmt.Errorf("TLS: the flow server's certificate is signed by an unknown authority; add its CA to FLOW_CA_FILE: %w", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("TLS: the flow server's certificate has expired or is not valid yet; renew it, or set this machine's clock: %w", err)
	case errors.As(err, &host):
		return fmt.Errorf("TLS: the flow server's certificate is for another host; use a host name of the certificate, or issue one for this name: %w", err)
	case errors.As(err, &record):
		return fmt.Errorf("TLS: the flow server does not speak TLS on this port; use http:// in FLOW_SERVER_URL, or its TLS port: %w", err)
	case errors.As(err, &invalid), errors.As(err, &op) && op.Op == "remote error": // an alert of the server; its type in crypto/tls is not exported
		return fmt.Errorf("TLS: the connection to the flow server was refused: %w", err)
	case errors.As(err, &dns):
		return fmt.Errorf("DNS: the flow server's host name %q cannot be resolved; check FLOW_SERVER_URL and the cluster's DNS: %w", dns.Name, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("the flow server refuses connections; check that it runs, and the host and port of FLOW_SERVER_URL: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the flow server did not answer in time; check that it is reachable (network policy, firewall): %w", err)
	}
	return fmt.Errorf("the flow server cannot be reached: %w", err)
}

// refused returns an error for an answer, which says what to change or that the request is retried. It adds nothing of the request,
// which may have a token, to the server's text.
func refused(a answer) error {
	advice := ""
	switch {
	case a.status == http.StatusUnauthorized:
		advice = "the token is missing or not accepted; check the token in FLOW_TOKEN_FILE"
	case a.status == http.StatusForbidden:
		advice = "the token may not write this flow; change its entry in the server's tokens file, or set FLOW_TOKEN_FILE to another token"
	case a.status == http.StatusNotFound:
		advice = "there is no flow server at this URL; check the host and path of FLOW_SERVER_URL"
	case a.status >= 300 && a.status < 400:
		advice = fmt.Sprintf("it redirects to %q; set FLOW_SERVER_URL to the final URL", a.location)
	case a.status == http.StatusBadRequest && !a.isProblem:
		advice = "a proxy rejects the request, or the server requires https; check FLOW_SERVER_URL"
	case a.status == http.StatusConflict:
		advice = "a newer emitter writes this region; make sure that only one adapter runs for the region"
	case a.status == http.StatusTooManyRequests:
		advice = "a limit of the server is reached; retrying"
	case a.status >= 500:
		advice = "the server or a proxy has a problem; retrying"
	default:
		advice = "retrying"
	}
	return fmt.Errorf("the flow server answers %d%s; %s", a.status, a.detail(), advice)
}

// reason returns the server's text or, if the answer has none, that of its status.
func (a answer) reason() string {
	return cmp.Or(a.problem.Detail, a.problem.Title, http.StatusText(a.status))
}

// detail returns the server's text after a colon, or nothing if the answer has none.
func (a answer) detail() string {
	if text := cmp.Or(a.problem.Detail, a.problem.Title); a.isProblem && text != "" {
		return ": " + text
	}
	return ""
}
