// Package fluxapi compares the adapter with the versions of Flux's API in go.mod. Its test fails for each condition, reason or status field that is neither
// read by the mapping nor listed in leftout.txt. It is a separate module because these APIs need a newer Go than the adapter.
package fluxapi
