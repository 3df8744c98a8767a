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
//   - The sources of the revision are those that have had it, and those of other regions with the same kind, URL and reference. Where a URL is unknown,
//     kind, namespace and name decide: no region is left out because its adapter does not report a URL.
//   - A Kustomization has the revision when its source's revision, its applied revision and the last one that it tried all count, and it is ready; or when it
//     has applied a revision that counts and its source already has a later one.
//   - An object is open while it has not reached the revision: a source that has not fetched it, a Kustomization that has not tried it, an object whose
//     controller has not observed the newest generation. An earlier failure of such a Kustomization or release fails the gate only after maxObserve.
//   - Objects of a stale region are neither done nor failed, since their state is old.
//   - The answer is failed if nothing is open and something is not done. It is passed if everything is done. But if Ask.Since is set, the question is
//     not Exact and no run has begun since, it is never passed, and failures from before do not make it failed.
package gate
