// Package outbox keeps on disk what a relay knows and what it still has to deliver, and delivers it: at least once, in order, each channel by itself.
//
// A change of what was told and the deliveries that follow from it are written together, or not at all. So a relay that is stopped at any instant has either
// told nothing, and finds the same change again, or has the deliveries in its outbox.
//
// The queue of a channel is bounded. A change that finds it full is not written, and is found again later: then what has meanwhile ended without having
// been told is never told.
package outbox
