//go:build linux

package load

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// cpuOf returns the CPU time of a process's running threads. The time of ended threads is missing.
func cpuOf(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("process %d has no /proc/%d/task/*/schedstat", pid, pid)
	}
	var sum int64
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		sum += digits(b)
	}
	return time.Duration(sum), nil
}

func cpuOfThread(id int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/schedstat", id))
	return time.Duration(digits(b)), err
}

// rssOf returns the resident memory of a process, in bytes.
func rssOf(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/%d/statm is %q", pid, b)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// spareFiles is the number of files besides those of readers and publishers.
const spareFiles = 200

// RaiseFiles raises this process's limit of open files for a number of connections. It also raises the hard limit if necessary; servers that are started
// later inherit that. If the hard limit is too low and cannot be raised, RaiseFiles returns the possible number and an error.
func RaiseFiles(connections int) (possible int, err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	need := uint64(connections + spareFiles)
	if limit.Cur >= need {
		return connections, nil
	}
	raised := unix.Rlimit{Cur: need, Max: max(limit.Max, need)}
	err = unix.Setrlimit(unix.RLIMIT_NOFILE, &raised)
	if err == nil {
		return connections, nil
	}
	if limit.Max < need {
		return int(limit.Max) - spareFiles, fmt.Errorf("%d connections need %d open files, but the hard limit is %d; raise it as root with ulimit -Hn %d",
			connections, need, limit.Max, need)
	}
	return 0, fmt.Errorf("raise the limit of open files to %d: %w", need, err)
}
