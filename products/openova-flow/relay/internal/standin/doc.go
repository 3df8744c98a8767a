// Package standin has stand-ins for the services of the channels, for tests. Each checks what the documentation of its service requires: credentials,
// signatures, limits, required fields, and which repetitions it recognizes. Faults lists the violations.
package standin
