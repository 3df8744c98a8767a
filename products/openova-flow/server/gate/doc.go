// Package gate decides whether a pipeline that waits for a flow may continue. A pipeline waits for a revision, for a chart version, or until everything is ready.
//
// A Follower gets the state of a flow from a server again and again: the snapshot, the claims of its regions, and the time. Each time it calls Gate.Look,
// which returns an Answer, until an answer is conclusive. The Gate does no I/O, except that it asks the Repository for the
// commit of a name and which commit comes after which.
//
// Package insight judges each node. This package adds:
//
//   - A revision counts if it is the revision asked for; if the repository says that it comes after that; or if its source moved to it while the gate was
//     following, after a revision that counted. The last rule excludes revisions that the source had before that, and those that the repository knows to be
//     no later.
//   - The required sources are those that have had the revision, and those with the same kind, URL and reference as one of these. Where a URL is unknown,
//     kind, namespace and name decide: no region is left out because its adapter does not report a URL. While no source has had the revision, all are
//     required.
//   - A Kustomization is done when its source's revision, its applied revision and the last one that it tried all count, and it is ready; or when these
//     count, its source already has another revision than it has applied, and its state is not about the applied one.
//   - An object is open while it may still reach the revision: its source has not fetched it and is neither broken nor suspended; a Kustomization has not
//     tried it and is not suspended; or a release still has a chart of another revision. A failed object is open while its controller has not observed its
//     newest generation. After 11 minutes an earlier failure fails the gate.
//   - Objects of a stale region are open, since their state is old.
//   - The answer is failed if nothing is open and something has failed. It is passed if there are objects and all are done. But if Ask.Since is set, the
//     question is not Exact and no run has begun since, it is never passed, and failures from before do not make it failed.
package gate
