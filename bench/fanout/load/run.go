//go:build linux

package load

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"
)

func connected(addr netip.AddrPort, c readersConfig) (*readers, error) {
	rs, err := newReaders(addr, c)
	if err != nil {
		return nil, err
	}
	each := time.Millisecond
	if c.all {
		each = time.Second
	}
	if err := rs.connect(time.Minute + time.Duration(c.readers)*each); err != nil {
		rs.close()
		return nil, err
	}
	return rs, nil
}

// Run runs a scenario. An error means that it did not run to its end. Lost, repeated, reordered and rejected messages and cut streams are in the result.
func Run(server Server, s Scenario) (Result, error) {
	s = s.withDefaults()
	if server.Flow == "" {
		server.Flow = "bench"
	}
	addr, err := netip.ParseAddrPort(server.Addr)
	if err != nil {
		return Result{}, fmt.Errorf("server address: %w", err)
	}
	if _, err := RaiseFiles(s.Connections()); err != nil {
		return Result{}, err
	}
	run := rand.IntN(1_000_000)
	p, err := newPublisher(addr, server.Flow, s.Flows, run, s.Size, s.Publishers)
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	// Create each flow with a separate message, so that every reader starts with a snapshot and must get all measured messages.
	if err := p.publish(max(1, s.Flows), 0, 0); err != nil {
		return Result{}, err
	}
	if p.accepted[0] == 0 {
		return Result{}, fmt.Errorf("the first message was rejected: %s", p.why)
	}
	m := &measurement{server: server, scenario: s, publisher: p}
	switch s.Kind {
	case Fanout:
		err = m.fanout(addr, run)
	case Idle:
		err = m.idle(addr, run)
	case Replay:
		err = m.replay(addr, run)
	default:
		err = fmt.Errorf("unknown kind of scenario %q; allowed: fanout, idle, replay", s.Kind)
	}
	return m.result, err
}

type measurement struct {
	server    Server
	scenario  Scenario
	publisher *publisher
	readers   *readers
	result    Result
}

func (m *measurement) fanout(addr netip.AddrPort, run int) error {
	s := m.scenario
	first := len(m.publisher.accepted)
	err := m.connect(addr, readersConfig{flow: m.server.Flow, all: s.Flows > 0, run: run, readers: s.Readers, stalled: s.Stalled,
		messages: first + s.Warm + s.Messages, measured: first + s.Warm})
	if err != nil {
		return err
	}
	defer m.readers.close()
	if s.Warm > 0 {
		if err := m.publisher.publish(s.Warm, 0, 0); err != nil {
			return err
		}
		m.readers.await(m.head(), s.Quiet)
	}
	began, err := m.meter()
	if err != nil {
		return err
	}
	if err := m.publish(s); err != nil {
		return err
	}
	m.readers.await(m.head(), s.Quiet)
	if err := m.settle(began); err != nil {
		return err
	}
	m.finish(first, began.at)
	return nil
}

// ahead is the number of readers connected before the memory of idle ones is measured: they make a server allocate memory that it keeps, and release memory
// that it used only to start.
const ahead = 1000

func (m *measurement) idle(addr netip.AddrPort, run int) error {
	first := len(m.publisher.accepted)
	early, err := connected(addr, readersConfig{flow: m.server.Flow, run: run, readers: ahead, messages: first})
	if err != nil {
		return err
	}
	defer early.close()
	time.Sleep(m.scenario.Hold)
	if err := m.connect(addr, readersConfig{flow: m.server.Flow, run: run, readers: m.scenario.Readers, messages: first}); err != nil {
		return err
	}
	defer m.readers.close()
	now := clock()
	m.finish(first, now)
	for _, r := range m.readers.all { // a silence that has not ended is also a gap
		m.result.LongestGap = max(m.result.LongestGap, time.Duration(now-r.frameAt))
	}
	return nil
}

func (m *measurement) replay(addr netip.AddrPort, run int) error {
	s := m.scenario
	first := len(m.publisher.accepted)
	if err := m.publish(s); err != nil {
		return err
	}
	began, err := m.meter()
	if err != nil {
		return err
	}
	m.readers, err = connected(addr, readersConfig{flow: m.server.Flow, run: run, readers: s.Readers, messages: first + s.Messages, measured: first,
		after: m.publisher.accepted[0]})
	if err != nil {
		return err
	}
	defer m.readers.close()
	m.readers.await(m.head(), s.Quiet)
	if err := m.settle(began); err != nil {
		return err
	}
	m.finish(first, began.at)
	return nil
}

// connect connects the readers, waits, and measures how much the server's memory has grown.
func (m *measurement) connect(addr netip.AddrPort, c readersConfig) (err error) {
	before, err := m.rss()
	if err != nil {
		return err
	}
	began := time.Now()
	if m.readers, err = connected(addr, c); err != nil {
		return err
	}
	m.result.ConnectSeconds = time.Since(began).Seconds()
	time.Sleep(m.scenario.Hold)
	after, err := m.rss()
	m.result.IdleBytes = after - before
	return err
}

func (m *measurement) publish(s Scenario) error {
	first, began := len(m.publisher.accepted), clock()
	if err := m.publisher.publish(s.Messages, s.Rate, s.Within); err != nil {
		return err
	}
	m.result.PublishSeconds = float64(clock()-began) / 1e9
	for _, seq := range m.publisher.accepted[first:] {
		if seq > 0 {
			m.result.Accepted++
		}
	}
	m.result.PublishP50, m.result.PublishP99 = m.publisher.answered.quantile(.5), m.publisher.answered.quantile(.99)
	return nil
}

func (m *measurement) head() (head int64) {
	for _, seq := range m.publisher.accepted {
		head = max(head, seq)
	}
	return head
}

// reading is the state of the meters at an instant.
type reading struct {
	at             int64
	server, thread time.Duration
	generator      time.Duration
}

func (m *measurement) meter() (r reading, err error) {
	r.at = clock()
	if m.server.PID > 0 {
		if r.server, err = cpuOf(m.server.PID); err != nil {
			return r, err
		}
	}
	if m.readers != nil {
		if r.thread, err = cpuOfThread(m.readers.thread); err != nil {
			return r, err
		}
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return r, fmt.Errorf("getrusage: %w", err)
	}
	r.generator = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return r, nil
}

// settle reads the meters again and computes the differences.
func (m *measurement) settle(began reading) error {
	end, err := m.meter()
	if err != nil {
		return err
	}
	m.result.ServerCPU, m.result.GeneratorCPU = end.server-began.server, end.generator-began.generator
	m.result.ReaderBusy = float64(end.thread-began.thread) / float64(end.at-began.at)
	m.result.EndBytes, err = m.rss()
	return err
}

func (m *measurement) rss() (int64, error) {
	if m.server.PID == 0 {
		return 0, nil
	}
	return rssOf(m.server.PID)
}

// finish ends reading and computes the result. Messages before index first are not expected at the readers.
func (m *measurement) finish(first int, began int64) {
	m.readers.close()
	m.result.Refused = m.publisher.refused
	m.readers.tally.result(m.readers.all, m.publisher.accepted, first, &m.result)
	if last := m.readers.tally.lastAt; last > began {
		m.result.DeliverSeconds = float64(last-began) / 1e9
	}
}
