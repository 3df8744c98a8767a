package auth

import (
	"sync"
	"time"
)

// Session checks a grant repeatedly during long work that it allows, such as a stream. A nil Session never ends; Caller must not be called on it.
type Session struct {
	a    *Authority
	need func(*Grant) error
	name string // of the caller at the start

	grant *Grant // changed only by recheckSessions

	mu   sync.Mutex
	then func()
	err  error
}

// Open checks a grant repeatedly until Close. need returns an error if a later grant of the same credential no longer allows the work; Run calls it,
// and it must not block. Without access control the Session is nil.
func (a *Authority) Open(g *Grant, need func(*Grant) error) *Session {
	if !a.Guarded() {
		return nil
	}
	s := &Session{a: a, need: need, name: g.name, grant: g}
	a.mu.Lock()
	a.sessions[s] = struct{}{}
	a.mu.Unlock()
	return s
}

// Caller returns the name of the grant at the start of the session.
func (s *Session) Caller() string { return s.name }

// Then sets the function that Run calls once when the session ends, in place of the previous one. If the session has ended, Then calls f. f must not block.
func (s *Session) Then(f func()) {
	if s == nil {
		return
	}
	s.mu.Lock()
	ended := s.err != nil
	if !ended {
		s.then = f
	}
	s.mu.Unlock()
	if ended {
		f()
	}
}

// Err returns why the session has ended, nil if it has not.
func (s *Session) Err() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the checks. Only a check that has begun may still end the session.
func (s *Session) Close() {
	if s == nil {
		return
	}
	s.a.mu.Lock()
	delete(s.a.sessions, s)
	s.a.mu.Unlock()
}

func (s *Session) end(err error) {
	s.mu.Lock()
	then := s.then
	s.err, s.then = err, nil
	s.mu.Unlock()
	if then != nil {
		then()
	}
}

// recheckSessions ends the sessions whose credential no longer suffices. Without changes it costs a comparison for each session; after a change,
// each credential is checked once for all of its sessions.
func (a *Authority) recheckSessions(now time.Time) {
	generation := a.generation.Load()
	var due []*Session
	a.mu.Lock()
	for s := range a.sessions {
		if s.grant.generation != generation || !s.grant.holds(now) {
			due = append(due, s)
		}
	}
	a.mu.Unlock()
	type answer struct {
		grant  *Grant
		denial *Denial
	}
	answers := map[Credential]answer{}
	for _, s := range due {
		c := s.grant.credential
		have, ok := answers[c]
		if !ok {
			have.grant, have.denial = a.check(c, nil)
			answers[c] = have
		}
		var err error
		if have.denial == nil {
			err = s.need(have.grant)
		} else {
			denial := *have.denial
			denial.Name = s.grant.name // a revoked token has no entry with a name
			err = &denial
		}
		if err != nil {
			s.Close()
			s.end(err)
			continue
		}
		s.grant = have.grant
	}
}

// holds reports whether the grant has not expired.
func (g *Grant) holds(now time.Time) bool { return g.expires.IsZero() || now.Before(g.expires) }
