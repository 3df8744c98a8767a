// Package conformance holds the tests that run the core server's own over hubs on a log.
package conformance
