//go:build linux

package load

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// perSource is the number of connections from one loopback address: fewer than the kernel's ephemeral ports.
const perSource = 20_000

// clock returns nanoseconds since the process's start.
func clock() int64 { return int64(time.Since(epoch)) }

var epoch = time.Now()

// dial connects a TCP socket to a loopback address, and makes it non-blocking. n is the number of the connection, which selects its source address.
func dial(addr netip.AddrPort, n, receiveBuffer int) (fd int, err error) {
	if !addr.Addr().Is4() || !addr.Addr().IsLoopback() {
		return -1, fmt.Errorf("%s is not an IPv4 loopback address", addr)
	}
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
			fd = -1
		}
	}()
	if receiveBuffer > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
			return fd, fmt.Errorf("SO_RCVBUF: %w", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fd, fmt.Errorf("TCP_NODELAY: %w", err)
	}
	// A reset avoids tens of thousands of ports in TIME_WAIT.
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return fd, fmt.Errorf("SO_LINGER: %w", err)
	}
	if source := n / perSource; source > 0 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return fd, fmt.Errorf("IP_BIND_ADDRESS_NO_PORT: %w", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(1 + source)}}); err != nil {
			return fd, fmt.Errorf("bind 127.0.0.%d: %w", 1+source, err)
		}
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return fd, fmt.Errorf("connect: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return fd, fmt.Errorf("set non-blocking: %w", err)
	}
	return fd, nil
}

// established reports whether neither side is known to have ended the connection.
func established(fd int) bool {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.State == 1 // TCP_ESTABLISHED
}

func watch(epoll, fd int, events uint32, tag int) error {
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(tag)}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// wait is epoll_wait that continues after signals.
func wait(epoll int, events []unix.EpollEvent, milliseconds int) (int, error) {
	for {
		n, err := unix.EpollWait(epoll, events, milliseconds)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("epoll_wait: %w", err)
		}
		return n, nil
	}
}
