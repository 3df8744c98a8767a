// Package watch follows the Flux objects of one cluster and passes their versions, in order, to the mapping of its region.
//
// A Watcher runs one reflector for each kind and namespace. Every version from a reflector goes into a Queue, which never blocks and drops versions
// only under extreme load: people want to see all states of a release, not only the last. One goroutine, in the Pump, takes the versions out, maps
// them and passes the changes on.
//
// A kind that the cluster does not serve yet, or that the credentials may not read, is retried until it can be watched. No response of an API
// server ends the Watcher. A problem is logged when its class changes.
//
// A Leader elects the process that reports its cluster.
package watch
