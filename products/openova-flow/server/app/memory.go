package app

import (
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// TuneMemory makes the garbage collector heed the memory limit of the process, and keep the process small while it has little data. It is for a
// program that runs Serve.
//
// If GOMEMLIMIT is not set, the Go runtime's limit becomes 90 % of the control group's, if there is one. If GOGC is not set, garbage
// may take about 11 MiB plus the live memory above 48 MiB, instead of as much as the live memory: a small server stays small, and a large
// one does not spend its time collecting. A fixed GOGC of 40 takes as little for ten flows (62 MiB; 72 with GOGC=100), but a quarter more
// processor time for a POST to a small server (in bench/fanout: go run ./cmd/fanout -only ingest, with builds of each).
func TuneMemory(getenv func(string) string, log *slog.Logger) {
	limitMemory(os.DirFS("/"), getenv, log)
	if getenv("GOGC") == "" {
		new(gcPacer).follow()
	}
}

func limitMemory(root fs.FS, getenv func(string) string, log *slog.Logger) {
	switch limit, ok := cgroupLimit(root); {
	case getenv("GOMEMLIMIT") != "":
		log.Info("memory limit", "from", "GOMEMLIMIT", "bytes", debug.SetMemoryLimit(-1))
	case ok:
		soft := limit / 10 * 9
		debug.SetMemoryLimit(soft)
		log.Info("memory limit", "from", "control group", "bytes", soft, "of", limit)
	}
}

// cgroupLimit returns the memory limit, in bytes, of this process's control group: the lowest limit of the group and its ancestors, in
// version 2 (memory.max) or version 1 (memory.limit_in_bytes).
func cgroupLimit(root fs.FS) (limit int64, ok bool) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	limit = math.MaxInt64
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(parts) < 3 {
			continue
		}
		dir, file := "sys/fs/cgroup", "memory.max"
		if parts[1] != "" {
			if !strings.Contains(","+parts[1]+",", ",memory,") {
				continue
			}
			dir, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		// Inside a container the path may be the host's, of which only the container's root is visible.
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			if n, found := readLimit(root, path.Join(dir, group, file)); found {
				limit = min(limit, n)
			}
			if group == "/" {
				break
			}
		}
	}
	return limit, limit != math.MaxInt64
}

// unlimited is the least value that counts as no limit: version 1 writes a number near 1<<63 if there is none.
const unlimited = 1 << 60

func readLimit(root fs.FS, name string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && n > 0 && n < unlimited
}

// gcPacer sets, after each collection, how much garbage there may be before the next.
type gcPacer struct{ percent int }

const (
	leastGarbage = 11 << 20
	smallHeap    = 48 << 20 // live bytes up to which there may be leastGarbage
)

// garbage returns how much garbage there may be, in percent of the live bytes, at most 400.
func garbage(live uint64) int {
	allowed := leastGarbage + max(live, smallHeap) - smallHeap
	return int(min(allowed*100/max(live, 1), 400))
}

// follow calls itself after each collection, by a cleanup of an object without references.
func (p *gcPacer) follow() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if percent := garbage(live[0].Value.Uint64()); percent*10 > p.percent*11 || percent*11 < p.percent*10 { // setting it stops the world for a moment
		p.percent = percent
		debug.SetGCPercent(percent)
	}
	runtime.AddCleanup(new([16]byte), (*gcPacer).follow, p)
}
