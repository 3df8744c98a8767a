// Package monitoring replays recordings into the real server, with a real Prometheus, Alertmanager and Jaeger, and the relay. make monitoring runs it.
package monitoring
