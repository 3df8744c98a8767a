// Package alerts tests the alerts and the dashboard of the server's chart with Prometheus' own code, on samples and on the metrics of a real server.
package alerts
