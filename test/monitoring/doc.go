// Package monitoring replays recordings into the real server, with a real Prometheus and Alertmanager, and the relay. make monitoring runs it.
package monitoring
