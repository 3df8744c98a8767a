// Package conformance runs tests of the server module with hubs on a log.
package conformance
