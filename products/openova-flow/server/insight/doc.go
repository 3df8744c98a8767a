// Package insight judges a flow at an instant: the state of each node, what holds it, which few causes are behind all that is not
// ready, and whether a pipeline that waits for the flow may go on. It reads no clock and does no I/O. The TypeScript package core does the
// same; both are held to testdata/vectors and to random graphs.
//
// What can be known from one object the adapter has judged (meta.judgement); a node of another emitter is judged by its status. The rest
// follows from the graph. Its terms:
//
//   - The segment of a node is what of its judgement holds at its clock: the judgement itself, or the last of its `then` that has begun.
//     The clock of a node is now; in a stale region it is when the region was last seen.
//   - A node is satisfied when nobody has to wait for it: it is ready, or suspended with gate `pass` and without the marks
//     not-observed and old-revision.
//   - A node is routine, and so ready, when its segment waits, and all of its `readyWhile`, at least one, exist and are satisfied.
//     Nodes that need each other for that are not.
//   - Needs are what a waiting node waits for: `needs`; for a node without a judgement what waitingFor names, else the origins of the
//     incoming relationships that hold it. A relationship that leaves the flow, a `contains`, a `triggers` and one of an auxiliary node hold nothing.
//   - A waiting node one of whose needs does not exist is broken (class dependency-missing) once that has lasted for over grace.
//   - A node waits when its state is waiting and it has needs, or when it has no judgement, has not started and one of its needs is not satisfied.
//   - A cycle is a strongly connected set of waiting nodes over their unsatisfied needs; a node that needs itself is one. Cycles within a
//     region come first: a node is on that of its region, else on one over regions. To hold a node counts of a cycle over regions only what
//     is in other regions than the node's: what another region adds does not hold a region's own part.
//   - Waiting nodes of one region that miss the same need are one problem, as the members of a cycle are; its root is the least.
//   - A node is open when something goes on there by itself. With gate `wait` one that neither waits for needs nor is broken is open,
//     whatever its roots; any other is as open as its roots. A wait is open within grace for a need that does not exist, or when all are satisfied.
//   - A node blames: if it waits, its unsatisfied and missing needs; if it is broken, working, terminating or not started, those of its
//     `checks` that are broken, suspended but not satisfied, terminating or waiting, and if there are none and it blames its source, that
//     source if it is not satisfied. Itself it does not blame.
//   - A root is a node that blames nothing, and a missing need. Members of a cycle are roots of whatever blames one of them. Of nodes
//     that blame only each other, and not in a cycle, one is the root: the least that is broken with a problem, else the least that does not wait.
//   - A problem has besides its root the rest of its cycle or what misses the same, and the victims: what does not wait and has one of these
//     among its roots. Problems are in this order: broken ones and cycles, those that block more, the older, by root.
//
// A dependency whose revision is said to be old is one of the region that says so: no region makes a release of another outdated.
//
// Only members have problems and count for a verdict: nodes that are no containers. A container is a node of kind Region, and one
// that a node of its own region is contained in.
package insight
