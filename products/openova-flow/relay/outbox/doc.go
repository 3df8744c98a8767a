// Package outbox keeps the state of a relay and its queued deliveries on disk, and delivers them: at least once, in order, each channel by itself.
//
// A change of the state and its deliveries are written in one transaction. So a relay that is stopped at any instant has either written neither, and finds the
// same change again, or has the deliveries in its outbox.
//
// The queue of a channel is bounded. Notices wait while it is full; a root cause that ends meanwhile is never reported.
package outbox
