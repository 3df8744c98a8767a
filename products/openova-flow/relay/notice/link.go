package notice

import (
	"net/url"
	"strings"
	"time"
)

// link returns the URL of the subject of n at an instant, Unix milliseconds. page is the base URL of the page. Without it or flows the link is empty.
func (n *Notice) link(page string, at int64) string {
	if page == "" || len(n.Flows) == 0 {
		return ""
	}
	// The order of the keys is that of the page's own links.
	query := "flow=" + url.QueryEscape(n.Flows[0])
	if n.Rollout != nil {
		query += "&rollout=" + url.QueryEscape(n.Rollout.ID)
	} else if len(n.Nodes) > 0 {
		query += "&node=" + url.QueryEscape(n.Nodes[0])
	}
	query += "&at=" + time.UnixMilli(at).UTC().Format("2006-01-02T15:04:05.000Z")
	return page + "?" + strings.NewReplacer("%2F", "/", "%3A", ":").Replace(query)
}
