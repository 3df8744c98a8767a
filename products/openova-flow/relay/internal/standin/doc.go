// Package standin has stand-ins for the services of the channels, for tests. Each checks requests against the documentation of its service, such as
// signatures and required fields, and Faults lists the violations. Slack.Limited counts what exceeds the rate limit.
package standin
