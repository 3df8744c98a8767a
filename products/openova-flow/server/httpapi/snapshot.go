package httpapi

import (
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/web"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

// snapshot answers with the folded state, or that of one region, or 304.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	if r.Header.Get(headerEmitter) != "" && g.CanIngest(flowID) {
		s.hub.RecordActivity(flowID)
	}
	gzipped := web.AcceptsGzip(r.Header.Values("Accept-Encoding"))
	known := r.Header.Values("If-None-Match")
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Add("Vary", "Accept-Encoding")
	if query := r.URL.Query(); query.Has("region") {
		s.regionSnapshot(w, r, g, flowID, query["region"], gzipped)
		return
	}
	if len(known) > 0 { // most clients that send a tag have the newest state: they wait for no turn
		if v := s.hub.Version(flowID); v.Incarnation != record.NoIncarnation && web.Matches(known, tagOf(v)) {
			h.Set(headerIncarnation, v.Incarnation)
			h.Set("ETag", web.EntityTag(tagOf(v), gzipped))
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if err := s.hub.CatchUp(newestIn(known)); err != nil {
			h.Set(headerIncarnation, s.hub.Incarnation(flowID))
			writeProblem(w, problemOf(err))
			return
		}
	}
	s.answer(w, r, g, func() ([]byte, error) {
		snap, err := s.hub.Snapshot(flowID)
		h.Set(headerIncarnation, snap.Version.Incarnation)
		if err != nil {
			return nil, err
		}
		h.Set("ETag", web.EntityTag(tagOf(snap.Version), gzipped))
		if web.Matches(known, tagOf(snap.Version)) { // CatchUp has applied what was missing
			return nil, nil
		}
		return snapshotBody(h, snap, gzipped), nil
	})
}

// regionSnapshot answers with the part of the folded state that belongs to one region.
func (s *Server) regionSnapshot(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string, regions []string, gzipped bool) {
	if len(regions) != 1 || regions[0] == "" || !utf8.ValidString(regions[0]) {
		writeProblem(w, problem{Status: http.StatusBadRequest, Field: "region", Detail: "name one region, percent-encoded, or leave the parameter out for all"})
		return
	}
	h := w.Header()
	s.answer(w, r, g, func() ([]byte, error) {
		snap, err := s.hub.RegionSnapshot(flowID, regions[0])
		h.Set(headerIncarnation, snap.Incarnation)
		if err != nil {
			return nil, err
		}
		tag := snap.Incarnation + "-" + snap.Tag()
		h.Set("ETag", web.EntityTag(tag, gzipped))
		if web.Matches(r.Header.Values("If-None-Match"), tag) {
			return nil, nil
		}
		return snapshotBody(h, snap, gzipped), nil
	})
}

// snapshotBody returns the body of a snapshot, which must not be changed, and sets the headers that describe it.
func snapshotBody(h http.Header, snap hub.Snapshot, gzipped bool) (body []byte) {
	if gzipped {
		body = snap.Gzip()
		h.Set("Content-Encoding", "gzip")
	} else {
		body = snap.JSON()
	}
	h.Set("Content-Type", typeJSON)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	return body
}

// tagOf is the tag of a flow's state, the claims of its regions included.
func tagOf(v hub.Version) string {
	return v.Incarnation + "-" + strconv.FormatInt(v.Seq, 10) + "-" + strconv.FormatInt(v.Regions, 10)
}

// newestIn returns the greatest sequence number in the tags of If-None-Match, 0 when there is none.
func newestIn(values []string) (seq int64) {
	for tag := range web.Tags(values) {
		if parts := strings.Split(tag, "-"); len(parts) == 3 { // as tagOf makes them
			n, _ := strconv.ParseInt(parts[1], 10, 64)
			seq = max(seq, n)
		}
	}
	return seq
}
