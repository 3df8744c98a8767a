// Package outbox keeps the state of a relay and its queued deliveries on disk, and delivers them in order, each channel by itself. An attempt with an
// unknown outcome is repeated. A delivery is dropped after a permanent error, or after a day of failures.
//
// A change of the state and its deliveries are written in one transaction. So a relay that is stopped at any instant has either written neither, and finds the
// same change again, or has the deliveries in its outbox.
//
// The queue of a channel is bounded. Notices wait while it is full. A root cause that ends before its first notice is queued is not reported.
package outbox
