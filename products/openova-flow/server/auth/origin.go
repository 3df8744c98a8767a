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

// checkOrigin denies a request that changes something and comes from a page of another origin. It does not look at the
// credential.
func checkOrigin(r *http.Request) error {
	if crossOrigin.Check(r) != nil {
		return &Denial{Reason: Origin, Detail: "pages of other origins may not change anything"}
	}
	return nil
}

// CheckLoopback checks a request to a server without access control. It returns nil if CheckPage does and Host is localhost or a loopback address, against
// DNS rebinding, otherwise a *Denial.
func CheckLoopback(r *http.Request, origins ...string) error {
	if !isLoopbackAddr(r.Host) && !IsLoopback(hostname(r.Host)) {
		return &Denial{Reason: Host, Detail: "without tokens the server answers only to localhost and loopback addresses"}
	}
	return CheckPage(r, origins...)
}

// CheckPage returns nil for a request from a program, or from a page of the request's own host or of a listed origin, otherwise a *Denial. It checks the
// headers with which browsers name the page that makes a request. Links may be followed from anywhere.
func CheckPage(r *http.Request, origins ...string) error {
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

func foreignPage() *Denial {
	return &Denial{Reason: Origin, Detail: "pages of other origins may not send requests to this server"}
}

// fromElsewhere reports whether a page of another origin makes the request, according to the browser: by Sec-Fetch-Site (Fetch Metadata standard) or, in
// its absence, by a Referer that is neither of this host nor of a listed origin.
func fromElsewhere(r *http.Request, origins []string) bool {
	if site := r.Header["Sec-Fetch-Site"]; len(site) > 0 {
		return len(site) > 1 || site[0] != "same-origin" && site[0] != "none"
	}
	referer := r.Header.Get("Referer")
	if referer == "" {
		return false
	}
	u, err := url.Parse(referer)
	return err != nil || !sameHost(referer, r.Host) && !slices.Contains(origins, u.Scheme+"://"+u.Host)
}

// followsLink reports whether, according to the headers, the browser will show the response as a page of its own, which the linking page can't read.
func followsLink(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if r.Header.Get("Sec-Fetch-Site") == "" {
		return strings.HasPrefix(r.Header.Get("Accept"), "text/html")
	}
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// sameHost reports whether text is an http or https URL with this host.
func sameHost(text, host string) bool {
	u, err := url.Parse(text)
	return err == nil && strings.EqualFold(u.Host, host) && (u.Scheme == "http" || u.Scheme == "https")
}

// isLoopbackAddr reports whether host is a loopback address with a port. It is a fast path for most requests.
func isLoopbackAddr(host string) bool {
	a, err := netip.ParseAddrPort(host)
	return err == nil && a.Addr().IsLoopback() && a.Addr().Zone() == ""
}

// hostname returns a Host header without port and brackets.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}
