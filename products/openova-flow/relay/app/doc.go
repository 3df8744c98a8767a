// Package app is the assembled relay: it follows a server, finds the notices that are due by the rules of its configuration, and delivers them to channels.
package app
