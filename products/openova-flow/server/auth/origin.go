package auth

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

var crossOrigin = http.NewCrossOriginProtection()

// checkOrigin refuses what a page of another origin would change with a credential that the browser adds by itself.
func checkOrigin(r *http.Request) error {
	if crossOrigin.Check(r) != nil {
		return &Refusal{Reason: Origin, Detail: "a page of another origin may not do this"}
	}
	return nil
}

// CheckLoopback returns nil for a request that this machine's own programs and pages make of a server without access control, else a
// *Refusal. The name in Host keeps out pages whose own name has been pointed at this machine; Origin keeps out all other pages, but those
// of the origins that are listed, as browsers send them. Browsers send no Origin with a GET whose answer the page may not read; what they say
// of the page by Sec-Fetch-Site keeps those out too, but not a link that a person follows.
func CheckLoopback(r *http.Request, origins ...string) error {
	if !isLoopbackAddr(r.Host) && !IsLoopback(hostname(r.Host)) {
		return &Refusal{Reason: Host, Detail: "without tokens the server answers only to localhost and loopback addresses"}
	}
	all := r.Header["Origin"]
	if len(all) == 1 && slices.Contains(origins, all[0]) {
		return nil
	}
	for _, origin := range all {
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Host, r.Host) || u.Scheme != "http" && u.Scheme != "https" {
			return &Refusal{Reason: Origin, Detail: "a page of another origin may not ask this server"}
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); (site == "cross-site" || site == "same-site") && !followsLink(r) {
		return &Refusal{Reason: Origin, Detail: "a page of another origin may not ask this server"}
	}
	return checkOrigin(r)
}

// followsLink reports whether a browser says that it makes the request to show the answer as a page of its own.
func followsLink(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// isLoopbackAddr reports whether host is a loopback address with a port, as in most requests, and takes little to find out.
func isLoopbackAddr(host string) bool {
	a, err := netip.ParseAddrPort(host)
	return err == nil && a.Addr().IsLoopback() && a.Addr().Zone() == ""
}

// hostname is a Host header without its port and brackets.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}
