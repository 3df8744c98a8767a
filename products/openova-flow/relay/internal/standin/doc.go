// Package standin has stand-ins for the services of the channels, for tests. Each checks requests against the documentation of its service, such as
// signatures, limits and required fields. Faults lists violations.
package standin
