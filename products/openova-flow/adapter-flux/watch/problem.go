package watch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Class is the kind of a problem.
type Class string

// All classes. NotServed, OtherVersion and Forbidden last until somebody changes the cluster; the others may end by themselves.
const (
	NotServed    Class = "not-served"    // the cluster has no such kind, or no namespace kube-system
	OtherVersion Class = "other-version" // the cluster has the kind, but not in the required version
	Forbidden    Class = "forbidden"     // 403
	Unauthorized Class = "unauthorized"  // 401
	NotFound     Class = "not-found"     // 404 from a kind that was served before
	Expired      Class = "expired"       // 410
	Throttled    Class = "throttled"     // 429
	TLS          Class = "tls"
	Refused      Class = "refused"
	Unreachable  Class = "unreachable"
	Unavailable  Class = "unavailable" // 5xx
	Other        Class = "other"
)

func (c Class) lasting() bool { return c == NotServed || c == OtherVersion || c == Forbidden }

// unanswered reports whether the API server could not be reached or could not handle the request, which is repeated unchanged.
func (c Class) unanswered() bool {
	return c == Refused || c == Unreachable || c == Unavailable || c == Throttled
}

// blinds reports whether the last known state may be outdated while the problem lasts. A lasting problem is a Gap instead.
func (c Class) blinds() bool { return c.unanswered() || c == Unauthorized || c == TLS || c == Other }

// Problem is the reason why a kind in a namespace, the cluster's identity or a Lease is not available.
type Problem struct {
	Class Class
	Text  string // one sentence without a full stop
}

// problemOf describes an error of verb on a kind in a namespace. It returns nil if there is no error, or if the context was cancelled.
func problemOf(err error, verb string, k Kind, namespace string) *Problem {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	what := verb + " " + k.Resource.GroupResource().String() + where(namespace)
	class := classOf(err)
	switch class {
	case Forbidden:
		return &Problem{class, "no permission to " + what}
	case Unauthorized:
		return &Problem{class, "the API server does not know the credentials (401) used to " + what}
	case NotFound:
		return &Problem{class, "the API server no longer serves the kind (404): cannot " + what}
	case Expired:
		return &Problem{class, "the API server no longer has the resource version (410): cannot " + what + " without listing again"}
	case Throttled:
		return &Problem{class, "the API server throttles (429): cannot " + what}
	case TLS:
		return &Problem{class, "cannot " + what + ", TLS" + address(err) + ": " + innermost(err)}
	case Refused:
		return &Problem{class, "the API server refuses connections" + address(err) + ": cannot " + what}
	}
	return &Problem{class, "cannot " + what + ": " + err.Error()}
}

func where(namespace string) string {
	if namespace == "" {
		return " in all namespaces"
	}
	return " in namespace " + namespace
}

func classOf(err error) Class {
	var (
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		unknown x509.UnknownAuthorityError
		network net.Error
		status  apierrors.APIStatus
	)
	switch {
	case apierrors.IsForbidden(err):
		return Forbidden
	case apierrors.IsUnauthorized(err):
		return Unauthorized
	case apierrors.IsNotFound(err):
		return NotFound
	case apierrors.IsGone(err), apierrors.IsResourceExpired(err):
		return Expired
	case apierrors.IsTooManyRequests(err):
		return Throttled
	case errors.As(err, &status) && status.Status().Code >= 500:
		return Unavailable
	case errors.As(err, &cert), errors.As(err, &record), errors.As(err, &unknown):
		return TLS
	case strings.Contains(err.Error(), "tls: "), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return TLS // these errors have no exported type
	case utilnet.IsConnectionRefused(err), errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.As(err, &network):
		return Unreachable
	}
	return Other
}

// address returns the address of the failed request, for a sentence; empty if err does not have it.
func address(err error) string {
	var request *url.Error
	if !errors.As(err, &request) {
		return ""
	}
	u, err := url.Parse(request.URL)
	if err != nil {
		return ""
	}
	return " (" + u.Scheme + "://" + u.Host + ")"
}

// innermost returns the text of the last error in the chain, without the URL and the verb around it.
func innermost(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}
