// Package recording reads and writes the events of a watch.
//
// A recording is a sequence of JSON objects {"at": <Unix ms>, "type": "ADDED|MODIFIED|DELETED", "object": {…}}. Writer writes one
// on each line; any other white space between them is accepted. "at" is optional, so that the output of kubectl get helmreleases -A
// -o json --watch --output-watch-events is a recording too.
package recording
