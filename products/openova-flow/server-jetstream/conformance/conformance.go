// Package conformance runs the tests of the core server with hubs on a log.
package conformance
