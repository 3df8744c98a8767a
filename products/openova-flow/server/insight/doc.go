// Package insight evaluates a flow at an instant: the state of each node, what blocks it, the root causes of everything that is not ready, and
// whether a pipeline that waits for the flow may continue. It reads no clock and does no I/O. The TypeScript package core does the same. Both are
// tested with testdata/vectors and compared on random graphs.
//
// What one object shows is judged by the adapter (meta.judgement). A node of another emitter is judged by its status. The rest follows from the
// graph. Terms:
//
//   - The segment of a node is the part of its judgement that holds at its clock: the judgement itself, or the last `then` that has begun.
//     The clock of a node is now; in a stale region it is the time when the region was last seen.
//   - A node is satisfied when no other node has to wait for it: it is ready, or suspended with gate `pass` and without the marks
//     not-observed and old-revision.
//   - A node is routine, and so ready, when its segment waits, and all of its `readyWhile`, at least one, exist and are satisfied.
//     Nodes that have each other in `readyWhile` are not.
//   - The needs of a node are the nodes that it waits for: `needs`; without a judgement, those in waitingFor if the node waits and lists some,
//     else the origins of the incoming relationships that block it. Relationships across flows, `contains`, `triggers`, those from auxiliary
//     nodes, and those to a node that has succeeded or that contains a node of its own region block nothing.
//   - A waiting node with a need that does not exist is broken (class dependency-missing) after more than grace, one minute.
//   - A node waits when its state is waiting and it has needs, or when it has no judgement, has not started and one of its needs is not
//     satisfied.
//   - A cycle is a strongly connected set of waiting nodes over their unsatisfied needs; a node that needs itself is one. Cycles within a
//     region are found first: a node is on a cycle of its region, else on one across regions. Of a cycle across regions, only the members in
//     other regions block a node.
//   - Nodes of one region that miss the same need are one problem, like the members of a cycle. Its root is the least of them.
//   - A node is open when it may still change by itself. With gate `wait`, a root is open unless it waits or misses a need; a node that
//     neither waits for needs nor is broken is open, whatever its roots; another node is open if one of its roots is. Within grace, a node is
//     open that waits for a need that does not exist, or whose needs are all satisfied.
//   - A node blames others for its state. A waiting node blames its unsatisfied and missing needs. A broken, working, terminating or not started
//     node blames those of its `checks` that are broken, suspended but not satisfied, terminating or waiting; if there are none and
//     `blamesSource` is set, its source unless that is satisfied. A node that is broken by a missing need blames nothing. No node blames itself.
//   - A root is a node that is not satisfied and blames nothing, or a missing need. All members of a cycle are roots of the nodes that blame
//     one of them. Among nodes that blame only each other without a cycle, one is the root: the least that is broken with a problem, else the
//     least that does not wait.
//   - A problem consists of its root, the rest of its cycle or the nodes that miss the same need, and its victims: nodes that do not wait and
//     have one of these among their roots. Problems are ordered: broken ones and cycles first, then those that block more, then the older,
//     then by root.
//
// A node can make only dependencies of its own region outdated (mark old-revision).
//
// Only members have problems and count for a verdict: all nodes except containers. A container is a node of kind Region, or a node that
// contains a node of its own region.
package insight
