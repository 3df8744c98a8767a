// Package alerts tests the alerts and the dashboard of the server's chart with Prometheus' own code, on what the server really serves.
package alerts
