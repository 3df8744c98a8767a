// Package notice decides which notices to send, and when. It reads no clock and does no I/O.
//
// Find lists the subjects of one flow at an instant: rollouts, revisions, root causes, failing sources and stale regions, each with a stable key.
// Merge combines those with equal keys, so that a root cause in three regions makes one notice. State.Look compares them with the notices sent before,
// and returns those that are due: opened, updated or resolved.
//
// Look is level-triggered. It reads nothing of the past but the State. So a program that stores each Change together with its notices repeats none,
// whenever it is stopped. A problem that ends before a look opens it has no notice.
package notice
