package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/claims"
	"github.com/openova-io/openova/products/openova-flow/server/internal/web"
	"github.com/openova-io/openova/products/openova-flow/server/record"
)

const (
	maxRegion  = 253     // bytes of the name of a claimed region
	maxCluster = 128     // bytes of a cluster's identity
	maxClaim   = 4 << 10 // bytes of a claim
)

// claimRequest is the body of a claim.
type claimRequest struct {
	Cluster    string `json:"cluster"`
	TTLSeconds *int64 `json:"ttlSeconds"`
}

// regions answers with the claims of a flow's regions, in the format of the event `regions` of a stream.
func (s *Server) regions(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	data, incarnation, err := s.hub.Regions(flowID)
	w.Header().Set(headerIncarnation, incarnation)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	w.Header().Set("Content-Type", typeJSON)
	w.Header().Set("Cache-Control", "no-store")
	s.send(w, r, g, data)
}

// claimRegion gives a cluster the lease of a region, or renews it.
func (s *Server) claimRegion(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	region, err := regionOf(r)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	if err := g.CheckClaim(flowID, region); err != nil {
		s.deny(w, r, err)
		return
	}
	claim, err := s.readClaim(w, r, g)
	if err == nil && len(region) > maxRegion {
		err = problem{Status: http.StatusBadRequest, Field: "region", Detail: fmt.Sprintf("the name of a claimed region may have %d bytes", maxRegion)}
	}
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	if g, err = s.cfg.Auth.Recheck(r.Context(), g); err == nil { // permissions may have changed while the body was read
		err = g.CheckClaim(flowID, region)
	}
	if err != nil {
		s.deny(w, r, err)
		return
	}
	claim.FlowID, claim.Region = flowID, region
	claim.Admin = s.cfg.Auth.Guarded() && g.CanAdmin(flowID) // without access control every caller is an admin, but must not take over claims
	lease, err := s.hub.Claim(claim)
	w.Header().Set(headerIncarnation, s.hub.Incarnation(flowID))
	if err != nil {
		s.refuseClaim(w, g, claim, err)
		return
	}
	writeJSON(w, map[string]any{"lease": lease.ID, "ttlSeconds": int64(lease.TTL / time.Second), "expiresAt": lease.ExpiresAt})
}

// regionOf returns the region in the path of a request. An empty one is emptySegment there, which is not UTF-8.
func regionOf(r *http.Request) (string, error) {
	region := r.PathValue("region")
	if !utf8.ValidString(region) {
		return "", problem{Status: http.StatusBadRequest, Field: "region", Detail: "a region must not be empty, and is percent-encoded UTF-8 in the path"}
	}
	return region, nil
}

// readClaim reads and checks the body of a claim.
func (s *Server) readClaim(w http.ResponseWriter, r *http.Request, g *auth.Grant) (claim record.Claim, err error) {
	memory := s.reserve(g)
	defer memory.release()
	contentType, err := bodyType(r)
	if err != nil {
		return claim, err
	}
	if contentType != typeJSON {
		return claim, problem{Status: http.StatusUnsupportedMediaType, Field: "Content-Type", Detail: "send the claim as application/json"}
	}
	body, err := s.readBody(w, r, memory, maxClaim)
	switch {
	case errors.Is(err, errLongBody):
		return claim, problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("a claim may have %d bytes", maxClaim)}
	case err != nil:
		return claim, err
	}
	bad := func(field, detail string) (record.Claim, error) {
		return record.Claim{}, problem{Status: http.StatusBadRequest, Field: field, Detail: detail}
	}
	var q claimRequest
	if err := json.Unmarshal(body, &q); err != nil {
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) && typed.Field != "" {
			return bad(typed.Field, fmt.Sprintf("must not be a JSON %s: cluster is a string, ttlSeconds an integer", typed.Value))
		}
		return bad("", `a claim is {"cluster":"<identity>","ttlSeconds":30}: `+err.Error())
	}
	if q.Cluster == "" || len(q.Cluster) > maxCluster || !utf8.Valid(body) {
		return bad("cluster", fmt.Sprintf("the cluster's identity is the UID of its namespace kube-system, 1 to %d bytes of UTF-8", maxCluster))
	}
	ttl := record.DefaultTTL
	if q.TTLSeconds != nil {
		if *q.TTLSeconds < int64(record.MinTTL/time.Second) || *q.TTLSeconds > int64(record.MaxTTL/time.Second) {
			return bad("ttlSeconds", fmt.Sprintf("allowed: an integer from %d to %d", int64(record.MinTTL/time.Second), int64(record.MaxTTL/time.Second)))
		}
		ttl = time.Duration(*q.TTLSeconds) * time.Second
	}
	return record.Claim{Cluster: q.Cluster, TTL: ttl}, nil
}

// refuseClaim answers a claim that is not granted. If another cluster holds the region it logs that, at most once a second for each caller.
func (s *Server) refuseClaim(w http.ResponseWriter, g *auth.Grant, claim record.Claim, err error) {
	var held *claims.HeldError
	if errors.As(err, &held) {
		if missed, ok := s.claims.allow(g.Name(), time.Now()); ok {
			s.cfg.Logger.Warn("region claim refused", "by", g.Name(), "flow", claim.FlowID, "region", claim.Region, "cluster", claim.Cluster, "holder", held.Cluster, "expired", held.Expired, "unlogged", missed)
		}
	}
	writeProblem(w, problemOf(err))
}

// deleteRegion removes the nodes of a region and drops its claim.
func (s *Server) deleteRegion(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID string) {
	region, err := regionOf(r)
	n := 0
	if err == nil {
		n, err = s.hub.DeleteRegion(flowID, region)
	}
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	s.audit("region deleted", g, "flow", flowID, "region", web.Cut(region, web.MaxEcho), "nodes", n)
	w.WriteHeader(http.StatusNoContent)
}
