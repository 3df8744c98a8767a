// Package emit reports one region to a flow server, and keeps the server's state of the region correct whatever fails: the emitter, the
// server or the network.
//
// An Emitter gets every change of the region, in order, by Put, which never waits for the network. While it leads, after Loaded, it keeps
// changes until the server has confirmed them by answering their POST with 200. Their order on the server has the same result as the order
// of Put. If too many changes wait, they are collapsed to the newest change of each node and relationship; if an object is
// followed by another one of the same name, its last change and its deletion are kept too. So memory is bounded by the size of the region
// plus the backlog.
//
// An Emitter retries for ever. It drops the newest change of an element only if the server rejects it for good, with 400, 413 or 422. This is
// logged and counted once, and a new value of the same element is sent again.
//
// Every few minutes, and whenever the server may have lost something, it compares the server's snapshot with the Source and
// sends the difference. It never posts a snapshot, and changes nothing of another region.
package emit
