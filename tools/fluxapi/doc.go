// Package fluxapi compares the adapter with Flux's newest API: its test fails for each condition, reason or status field that the mapping neither reads
// nor lists in leftout.txt. It is a module of its own because these APIs need a newer Go than the adapter.
package fluxapi
