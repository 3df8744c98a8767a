// Package fluxapi holds the adapter to Flux's API as it is now: its test fails when Flux has a condition, a reason or a status field that the
// mapping neither reads nor leaves out on purpose. It is a module of its own because these APIs need a newer Go than the adapter.
package fluxapi
