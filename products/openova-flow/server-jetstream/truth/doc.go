// Package truth holds the tests that end processes, cut connections and compare what is left with what was acknowledged.
package truth
