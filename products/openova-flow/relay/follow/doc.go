// Package follow keeps the state of all flows of a server, from its stream of all flows and from its lists of rollouts and revisions.
package follow
