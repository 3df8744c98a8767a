package eventstream

import (
	"errors"
	"os"
	"syscall"
)

// poller watches descriptors with epoll, edge-triggered, for three events: writable again, readable, closed by the peer.
type poller struct {
	file *os.File
	raw  syscall.RawConn
	fd   int
}

// pollEvent is an event of the descriptor in a slot. Its generation distinguishes it from earlier descriptors in the slot.
type pollEvent struct {
	slot, generation int32
	flags            uint32
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), syscall.Close(fd))
	}
	// The runtime's own poller watches a non-blocking file, so that waiting takes a goroutine but no thread.
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &poller{file: file, raw: raw, fd: fd}, nil
}

func (p *poller) close() { _ = p.file.Close() }

// add watches a descriptor until it is closed.
func (p *poller) add(fd int, slot, generation int32) error {
	const edges = 1 << 31 // EPOLLET; the constant of package syscall is negative
	e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edges, Fd: slot, Pad: generation}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &e))
}

// run calls handle with events until the poller is closed. The slice is valid only during the call.
func (p *poller) run(handle func([]pollEvent)) {
	raw := make([]syscall.EpollEvent, 256)
	events := make([]pollEvent, 0, len(raw))
	for {
		n := 0
		err := p.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = syscall.EpollWait(int(fd), raw, 0)
			return n > 0 || err != nil && err != syscall.EINTR
		})
		if err != nil {
			return
		}
		events = events[:0]
		for _, e := range raw[:max(n, 0)] {
			events = append(events, pollEvent{e.Fd, e.Pad, e.Events})
		}
		handle(events)
	}
}
