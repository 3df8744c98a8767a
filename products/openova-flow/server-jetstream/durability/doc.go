// Package durability tests that acknowledged messages survive: it kills processes, cuts connections and power, damages files, and compares the state
// afterwards with the acknowledged messages.
package durability
