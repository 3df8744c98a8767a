package auth

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// TestReload_GenerationFollowsThePolicy revokes a token, and opens a session with it while the reload waits for the keys of a new entry. The session's grant
// is of the old file, so it must be checked again after the reload.
func TestReload_GenerationFollowsThePolicy(t *testing.T) {
	p := newTokensDir(t)
	p.file(object{"tokens": []object{tokenOf("a", "1")}})
	a := p.load()
	must(t, syscall.Mkfifo(p.path("fsn1.json"), 0o600))
	p.file(object{"trust": []object{trustOf("fsn1")}})
	reloaded := make(chan struct{})
	var failed error
	go func() { defer close(reloaded); failed = a.readMain() }()
	keys, err := os.OpenFile(p.path("fsn1.json"), os.O_WRONLY, 0) // a pipe: returns when the reload opens it
	must(t, err)
	session := a.Open(accepted(t, a, "1", "a"), reading("F"))
	_, err = keys.WriteString("{}") // not a key set, since a key set would advance the generation itself
	must(t, err)
	must(t, keys.Close())
	<-reloaded
	must(t, failed)
	a.recheckSessions(time.Now())
	if reason(t, session.Err()) != Unknown {
		t.Errorf("the session of a revoked token has not ended: %v", session.Err())
	}
}
