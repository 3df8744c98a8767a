// Package emit reports one region to a flow server, and keeps the server's state of the region correct whatever fails: the emitter, the
// server or the network.
//
// An Emitter gets every change of the region, in order, by Put, which never waits for the network. It keeps changes until the server has
// confirmed them by answering their POST with 200, and sends them in the order of Put. If more than Config.Backlog changes wait, they are
// collapsed to the newest change of each node and relationship; the deletion of an object is kept, in order, if another object of the
// same name follows. So memory is bounded by the size of the region plus the backlog.
//
// An Emitter retries for ever. It drops a change only if the server rejects it for good, with 400, 413 or 422. This is logged and counted
// once, and a new value of the same node or relationship is sent again.
//
// Every few minutes, and whenever the server may have lost something, it compares the server's snapshot with the Source and
// sends the difference. It never posts a snapshot, and changes nothing of another region.
package emit
