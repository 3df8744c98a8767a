// Package auth knows who a caller is and what it may do: opaque tokens that a file lists by their SHA-256, service account tokens of
// Kubernetes clusters, and users that a trusted proxy names.
//
// What it promises:
//
//   - The file and the key sets that it names are read again when their content changes. What can't be read leaves in force what was
//     read before, and is logged without its content.
//   - An open Session ends within five seconds of its credential being revoked, expiring, or losing what the session needs.
//   - The keys of a trust entry verify tokens for that entry alone. Clusters often share an issuer's name, so a token belongs to the
//     entry whose own key verifies it.
//   - One request verifies at most eight signatures, whatever its token says: by the keys that the token names (kid) first, then by keys
//     without a kid, which RFC 7517 allows. A token that names no key is refused where several entries, or several keys of one, fit it.
//   - No lock is held while anything is fetched, and a fetch delays only tokens that may be verified by the keys it brings.
//   - Nothing that this package logs, returns as an error or prints holds a token. A token that has no name has none in the log; of a JSON
//     Web Token that is refused the log has the issuer, audience, subject and kid that it claims.
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
// There is at least one token, trust entry or proxy. A trust entry has jwksURL or jwksFile; paths are relative to the file. The scope
// admin has the others in it. A flow pattern is a flow id in which * stands for any run of characters. Regions bind what is written;
// without them a caller may write everything. An API server gives out its keys at /openid/v1/jwks only to who may read them: bind the
// ClusterRole system:service-account-issuer-discovery to system:unauthenticated, or copy them to a jwksFile.
//
// # What a bound caller may write
//
// A caller bound to region R owns the ids R and R/…. A node that it puts has such an id, and R as its region. A relationship belongs to
// its toId; one of type contains to both of its ends, which must both be the caller's. What it deletes must be its own, whether it is there or not. Snapshot, upsert-flow and
// DELETE are not for it, unless it has the scope admin.
//
// By the contract delete-nodes removes every relationship that touches the node, those of other regions among them, and every receiver
// of the message folds it so. A bound caller may not reach that far. So package hub, which applies its messages, puts back, after the last
// of them and within the same request, an ordinary upsert-rels with the relationships that were removed and are not the caller's
// (flow.RelInRegions). Their ends dangle until the node comes back. Since a bound caller can't write those relationships itself, it does not
// matter where in the request they were removed.
//
// What is kept for an emitter's name must be kept for Grant.Emitter of it, or else a bound caller could outrun another region's epochs.
package auth
