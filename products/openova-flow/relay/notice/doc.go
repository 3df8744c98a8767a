// Package notice decides which notices to send, and when. It reads no clock and does no I/O.
//
// Find lists the subjects of one flow at an instant: rollouts, root causes, failing sources, stale regions, each with a stable key. Merge combines
// those with equal keys, so that a root cause in three regions makes one notice. Desk compares them with the notices sent before, and returns those
// that are due: opened, updated or resolved.
//
// A Desk is level-triggered. All that it knows of the past is its State, so a program that stores the State together with the notices misses
// nothing and repeats nothing, whenever it is stopped.
package notice
