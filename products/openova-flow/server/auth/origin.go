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
// *Refusal. The name in Host keeps out pages whose own name has been pointed at this machine. All other pages are kept out by what browsers say
// of where a request is from, but those of the origins that are listed, as browsers send them. A link to the server may be followed from anywhere.
func CheckLoopback(r *http.Request, origins ...string) error {
	if !isLoopbackAddr(r.Host) && !IsLoopback(hostname(r.Host)) {
		return &Refusal{Reason: Host, Detail: "without tokens the server answers only to localhost and loopback addresses"}
	}
	all := r.Header["Origin"]
	if len(all) == 1 && slices.Contains(origins, all[0]) {
		return nil
	}
	for _, origin := range all {
		if !sameHost(origin, r.Host) {
			return foreignPage()
		}
	}
	if fromElsewhere(r, origins) && !followsLink(r) {
		return foreignPage()
	}
	return checkOrigin(r)
}

func foreignPage() *Refusal {
	return &Refusal{Reason: Origin, Detail: "a page of another origin may not ask this server"}
}

// fromElsewhere reports whether a browser says that a page of another origin, listed or not, makes a request. Those that do not send Sec-Fetch-Site (the
// Fetch Metadata standard) may send Referer; programs send neither.
func fromElsewhere(r *http.Request, origins []string) bool {
	if site := r.Header["Sec-Fetch-Site"]; len(site) > 0 {
		return len(site) > 1 || site[0] != "same-origin" && site[0] != "none"
	}
	referer := r.Header.Get("Referer")
	u, err := url.Parse(referer)
	return referer != "" && (err != nil || !sameHost(referer, r.Host) && !slices.Contains(origins, u.Scheme+"://"+u.Host))
}

// followsLink reports whether a browser wants to show the answer as a page of its own, which the page that it comes from can't read.
func followsLink(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if r.Header.Get("Sec-Fetch-Site") == "" {
		return strings.HasPrefix(r.Header.Get("Accept"), "text/html")
	}
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// sameHost reports whether a URL is one of a host, by http or https.
func sameHost(text, host string) bool {
	u, err := url.Parse(text)
	return err == nil && strings.EqualFold(u.Host, host) && (u.Scheme == "http" || u.Scheme == "https")
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
