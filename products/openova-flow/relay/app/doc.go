// Package app is the whole relay, put together: it follows a server, looks at each flow, and delivers what the rules of its configuration send to whom.
package app
