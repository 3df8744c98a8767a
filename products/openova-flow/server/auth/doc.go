// Package auth authenticates and authorizes callers: by opaque tokens that a file lists by their SHA-256, by service account tokens of
// Kubernetes clusters, and by users that a trusted proxy names.
//
// Guarantees:
//
//   - The file and the key sets that it names are read again when their content changes. If one is unreadable or invalid, its previous
//     content stays in force, and the error is logged without the values in it.
//   - An open Session ends within five seconds of its credential being revoked, expiring, or losing what the session needs. The
//     removal of a key from a jwksURL is noticed at the next fetch, after at most ten minutes if that succeeds.
//   - The keys of a trust entry verify tokens for that entry alone. Clusters often share an issuer's name, so a token belongs to the
//     entry whose own key verifies it.
//   - One check of a token verifies at most eight signatures: by the keys that the token names (kid) first, then by keys without a kid, which RFC
//     7517 allows. A token without a kid is denied if several entries, or several keys of one, fit it.
//   - No lock is held during a fetch, and a fetch delays only tokens that the fetched keys may verify.
//   - No log line, error or printed value of this package contains a token. The log has the names of known tokens and may have, of a denied
//     JSON Web Token, its unverified issuer, audience, subject and kid.
//
// # The file
//
//	{
//	  "tokens": [
//	    {"name": "emitter-fsn1", "sha256": "<64 hex digits>", "scopes": ["read", "ingest"], "flows": ["prod-*"], "regions": ["fsn1"]}
//	  ],
//	  "trust": [
//	    {"name": "cluster-fsn1", "issuer": "https://kubernetes.default.svc", "audience": "openova-flow",
//	     "jwksURL": "https://fsn1.example:6443/openid/v1/jwks", "jwksCAFile": "fsn1-ca.pem",
//	     "subject": "system:serviceaccount:flux-system:openova-flow-emitter",
//	     "scopes": ["read", "ingest"], "flows": ["prod-*"], "regions": ["fsn1"]}
//	  ],
//	  "proxy": {"peers": ["10.0.0.0/8"], "header": "X-Forwarded-User", "scopes": ["read"], "flows": ["*"]}
//	}
//
// At least one token, trust entry or proxy is required. A trust entry has jwksURL or jwksFile; paths are relative to the file. The scope
// admin includes the others. A flow pattern is a flow id in which * stands for any characters. Regions limit writes; without them a caller
// may write to all regions of its flows. An API server serves its keys at /openid/v1/jwks only to authorized callers: bind the ClusterRole
// system:service-account-issuer-discovery to system:unauthenticated, or copy the keys to a jwksFile.
//
// # What a bound caller may write
//
// A caller bound to region R owns the ids R and R/…. A node that it writes must have such an id, and R as its region. A relationship
// belongs to its toId; one of type contains to both of its ends, and the caller must own both. It may delete only its own elements,
// existing or not. It may not send snapshot, upsert-flow or DELETE, unless it has the scope admin.
//
// By the contract, delete-nodes removes every relationship of the node, also those of other regions, and every subscriber does the same. But a
// bound caller must not remove relationships of other regions. So package hub restores these (flow.PutBack) with an ordinary
// upsert-rels after the last message of the same request. Until the node exists again, they have an end without a node. Since a bound
// caller can't write those relationships itself, it does not matter which message of the request removed them.
//
// State of an emitter must be stored under Grant.Emitter of its name. Otherwise a bound caller could use the name of another region's emitter with a
// greater epoch, and so block that emitter.
package auth
