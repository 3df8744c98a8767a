// Package emit tells a flow server what one region looks like, and keeps the server's picture of it right whatever happens to
// either of them or to the way between.
//
// An Emitter is given every change of the region, in order, by Put, which never waits for the network. It holds what the server
// has not confirmed; a change is confirmed when the POST that carried it is answered 200, not before. Changes go out in the
// order in which they were put. Only when more of them pile up than Config.Backlog are they collapsed to the newest of each
// node and relationship, and even then the deletion of an object stays between it and the one made again in its place. So
// memory is bounded by the size of the region plus that backlog.
//
// An Emitter retries for ever. It drops a change only when the server says, with 400, 413 or 422, that it will never take it:
// that is logged and counted once, and a new value of the same node or relationship is tried again.
//
// From time to time, and whenever the server may have lost something, it compares the server's snapshot with the Source and
// sends the difference. It never posts a snapshot, and touches nothing that belongs to another region.
package emit
