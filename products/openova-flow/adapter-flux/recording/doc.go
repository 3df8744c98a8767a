// Package recording reads and writes what a watch delivered.
//
// A recording is a row of JSON objects {"at": <Unix ms>, "type": "ADDED|MODIFIED|DELETED", "object": {…}}, one a line as Writer
// writes them, or spaced in any other way. "at" is optional, so that what
// kubectl get helmreleases -A -o json --watch --output-watch-events prints is a recording too.
package recording
