// Package standin has stand-ins for the services that a relay tells, for tests. Each checks what the documentation of its service says: credentials,
// signatures, limits, required fields, and which repetitions it recognizes. What breaks a rule is listed by Faults.
package standin
