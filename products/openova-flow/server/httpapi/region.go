package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

const (
	maxRegion  = 253     // bytes of the name of a region that is claimed
	maxCluster = 128     // bytes of a cluster's identity
	maxClaim   = 4 << 10 // bytes of a claim
)

// claimRequest is the body of a claim.
type claimRequest struct {
	Cluster    string `json:"cluster"`
	TTLSeconds *int64 `json:"ttlSeconds"`
}

// claimRegion gives a cluster the lease of a region, or renews it.
func (s *Server) claimRegion(w http.ResponseWriter, r *http.Request, g *auth.Grant, flowID, region string) {
	if err := g.CheckClaim(flowID, region); err != nil {
		s.deny(w, r, err)
		return
	}
	claim, p := s.readClaim(w, r, g)
	if p.Status == 0 && len(region) > maxRegion {
		p = problem{Status: http.StatusBadRequest, Field: "region", Detail: fmt.Sprintf("a region that is claimed may have %d bytes", maxRegion)}
	}
	if p.Status != 0 {
		writeProblem(w, p)
		return
	}
	g, err := s.cfg.Auth.Again(r.Context(), g)
	if err == nil {
		err = g.CheckClaim(flowID, region)
	}
	if err != nil {
		s.deny(w, r, err)
		return
	}
	claim.FlowID, claim.Region = flowID, region
	claim.Admin = s.cfg.Auth.Guarded() && g.CanAdmin(flowID) // where everybody is one, no two emitters would be kept apart
	lease, err := s.hub.Claim(claim)
	w.Header().Set(headerIncarnation, s.hub.Incarnation(flowID))
	if err != nil {
		s.refuseClaim(w, g, claim, err)
		return
	}
	writeJSON(w, map[string]any{"lease": lease.ID, "ttlSeconds": int64(lease.TTL / time.Second), "expiresAt": lease.ExpiresAt})
}

// readClaim reads and checks the body of a claim.
func (s *Server) readClaim(w http.ResponseWriter, r *http.Request, g *auth.Grant) (hub.Claim, problem) {
	body, contentType, p := s.body(w, r, g)
	defer s.release(g, int64(cap(body)))
	switch {
	case p.Status != 0:
		return hub.Claim{}, p
	case contentType != typeJSON:
		return hub.Claim{}, problem{Status: http.StatusUnsupportedMediaType, Field: "Content-Type", Detail: "send the claim as application/json"}
	case len(body) > maxClaim:
		return hub.Claim{}, problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("a claim may have %d bytes", maxClaim)}
	}
	bad := func(field, detail string) (hub.Claim, problem) {
		return hub.Claim{}, problem{Status: http.StatusBadRequest, Field: field, Detail: detail}
	}
	var q claimRequest
	if err := json.Unmarshal(body, &q); err != nil {
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) && typed.Field != "" {
			return bad(typed.Field, fmt.Sprintf("it is a JSON %s; cluster is a string, ttlSeconds an integer", typed.Value))
		}
		return bad("", `a claim is {"cluster":"<identity>","ttlSeconds":30}: `+err.Error())
	}
	if q.Cluster == "" || len(q.Cluster) > maxCluster || !utf8.Valid(body) {
		return bad("cluster", fmt.Sprintf("the cluster's identity, the UID of its namespace kube-system, has 1 to %d bytes of UTF-8", maxCluster))
	}
	ttl := hub.DefaultTTL
	if q.TTLSeconds != nil {
		if *q.TTLSeconds < int64(hub.MinTTL/time.Second) || *q.TTLSeconds > int64(hub.MaxTTL/time.Second) {
			return bad("ttlSeconds", fmt.Sprintf("allowed: an integer from %d to %d", int64(hub.MinTTL/time.Second), int64(hub.MaxTTL/time.Second)))
		}
		ttl = time.Duration(*q.TTLSeconds) * time.Second
	}
	return hub.Claim{Cluster: q.Cluster, TTL: ttl}, problem{}
}

// refuseClaim answers a claim that is not granted, and says so in the log, which an emitter that goes on trying does not flood.
func (s *Server) refuseClaim(w http.ResponseWriter, g *auth.Grant, claim hub.Claim, err error) {
	var other *hub.ClaimError
	if errors.As(err, &other) {
		if missed, ok := s.claims.allow(g.Name(), time.Now()); ok {
			s.cfg.Logger.Warn("claim of a region refused", "by", g.Name(), "flow", claim.FlowID, "region", claim.Region, "cluster", claim.Cluster, "holder", other.Cluster, "expired", other.Expired, "unlogged", missed)
		}
	}
	writeProblem(w, problemOf(err))
}

// deleteRegion removes the nodes of a region and drops its claim.
func (s *Server) deleteRegion(w http.ResponseWriter, _ *http.Request, g *auth.Grant, flowID, region string) {
	n, err := s.hub.DeleteRegion(flowID, region)
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	s.audit("region deleted", g, "flow", flowID, "region", cut(region, maxEcho), "nodes", n)
	w.WriteHeader(http.StatusNoContent)
}
