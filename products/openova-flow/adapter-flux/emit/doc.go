// Package emit reports one region to a flow server, and keeps the server's state of it right whatever happens to either of them
// or to the network.
//
// An Emitter gets every change of the region, in order, by Put, which never waits for the network. It holds what the server has
// not confirmed; a change is confirmed when the POST that carried it is answered 200. Changes are sent in the order in which
// they were put. If more than Config.Backlog pile up, they are collapsed to the newest of each node and relationship; even then
// the deletion of an object stays between it and its successor of the same name. So memory is bounded by the size of the region
// plus that backlog.
//
// An Emitter retries for ever. It drops a change only when the server refuses it for good, with 400, 413 or 422: that is logged
// and counted once, and a new value of the same node or relationship is sent again.
//
// Every few minutes, and whenever the server may have lost something, it compares the server's snapshot with the Source and
// sends the difference. It never posts a snapshot, and changes nothing of another region.
package emit
