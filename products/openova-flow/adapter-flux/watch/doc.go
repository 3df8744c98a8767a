// Package watch follows the Flux objects of one cluster and hands every version of them, in order, to the fold of a region.
//
// A Watcher runs one informer for each kind and namespace. Every version that an informer delivers goes into a Queue, which never blocks,
// never drops and never collapses: what came in between two versions of a release is part of what a person wants to see. One goroutine, a
// Pump's, takes them out, folds them and hands on what changed.
//
// A kind that the cluster does not serve yet, or that the credentials may not read, is asked for again and again and is watched from the
// moment on at which it can be. Nothing that an API server answers ends the Watcher; what stands in the way is told once in the log each time
// it changes, by Problems for as long as it lasts, and by Gaps when it is not of a passing kind.
//
// A Leader says whether this process is the one that speaks for its cluster.
package watch
