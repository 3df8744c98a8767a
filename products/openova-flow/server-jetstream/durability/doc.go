// Package durability tests that acknowledged messages survive: it kills processes, cuts connections, damages files, and compares the state afterwards
// with what was acknowledged.
package durability
