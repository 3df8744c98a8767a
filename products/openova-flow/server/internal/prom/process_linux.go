package prom

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ticks is USER_HZ: /proc has times in hundredths of a second on every architecture that Go supports.
const ticks = 100

// Fields of /proc/self/stat, counted from the third, which follows the name of the program (proc_pid_stat(5)).
const (
	fieldUserTime   = 14 - 3
	fieldSystemTime = 15 - 3
	fieldStartTime  = 22 - 3
	fieldVirtual    = 23 - 3
	fieldResident   = 24 - 3 // pages
)

// processFamilies leave out the samples of files that cannot be read, since /proc may be hidden.
var processFamilies = []Family{
	{"process_cpu_seconds_total", "counter", "Seconds of processor time, user and system.", stat(func(f []float64) float64 { return (f[fieldUserTime] + f[fieldSystemTime]) / ticks })},
	{"process_resident_memory_bytes", "gauge", "Bytes of resident memory.", stat(func(f []float64) float64 { return f[fieldResident] * float64(os.Getpagesize()) })},
	{"process_virtual_memory_bytes", "gauge", "Bytes of virtual memory.", stat(func(f []float64) float64 { return f[fieldVirtual] })},
	{"process_start_time_seconds", "gauge", "When the process started, Unix time.", startTime},
	{"process_open_fds", "gauge", "Open file descriptors.", openFiles},
	{"process_max_fds", "gauge", "Limit for open file descriptors.", maxFiles},
}

func stat(value func(fields []float64) float64) func(*Samples) {
	return func(s *Samples) {
		if fields, err := readStat(); err == nil {
			s.Add(value(fields))
		}
	}
}

// readStat returns the numbers of /proc/self/stat from the third field on; a field that is not a number is 0.
func readStat() ([]float64, error) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return nil, err
	}
	words := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the name may hold anything
	if len(words) <= fieldResident {
		return nil, errors.New("/proc/self/stat is short")
	}
	fields := make([]float64, len(words))
	for i, word := range words {
		fields[i], _ = strconv.ParseFloat(word, 64)
	}
	return fields, nil
}

func startTime(s *Samples) {
	fields, err := readStat()
	text, err2 := os.ReadFile("/proc/stat")
	_, after, found := strings.Cut(string(text), "\nbtime ")
	boot, err3 := strconv.ParseFloat(strings.SplitN(after, "\n", 2)[0], 64)
	if err == nil && err2 == nil && found && err3 == nil {
		s.Add(boot + fields[fieldStartTime]/ticks)
	}
}

func openFiles(s *Samples) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return
	}
	defer dir.Close()
	if names, err := dir.Readdirnames(-1); err == nil {
		s.Add(float64(len(names) - 1)) // without the directory's own
	}
}

func maxFiles(s *Samples) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		s.Add(float64(limit.Cur))
	}
}
