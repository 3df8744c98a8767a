package app

import (
	"io/fs"
	"log/slog"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestCgroupLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"version 2, in a container":   {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "268435456\n"}, 268435456},
		"version 2, of a service":     {map[string]string{"proc/self/cgroup": "0::/system.slice/flow.service\n", "sys/fs/cgroup/system.slice/flow.service/memory.max": "900\n"}, 900},
		"the lowest of its ancestors": {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "900\n", "sys/fs/cgroup/a/memory.max": "800\n"}, 800},
		"version 2, none":             {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"version 1": {map[string]string{"proc/self/cgroup": "5:cpu,memory:/kubepods/pod1\n1:name=systemd:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/kubepods/pod1/memory.limit_in_bytes": "700\n"}, 700},
		"version 1, with the host's path": {map[string]string{"proc/self/cgroup": "5:memory:/kubepods/pod1\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "600\n"}, 600},
		"version 1, none":                 {map[string]string{"proc/self/cgroup": "5:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"both, as systemd can have it":    {map[string]string{"proc/self/cgroup": "5:memory:/x\n0::/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "500\n"}, 500},
		"no files":                        {nil, 0},
		"other content":                   {map[string]string{"proc/self/cgroup": "x\n::\n0::\n", "sys/fs/cgroup/memory.max": "-5\n"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for path, text := range tt.files {
				root[path] = &fstest.MapFile{Data: []byte(text)}
			}
			if got, ok := cgroupLimit(root); ok != (tt.want > 0) || ok && got != tt.want {
				t.Errorf("%d, %v; want %d", got, ok, tt.want)
			}
		})
	}
}

func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	limited := fstest.MapFS{"proc/self/cgroup": {Data: []byte("0::/\n")}, "sys/fs/cgroup/memory.max": {Data: []byte("1000000000\n")}}
	for _, tt := range []struct {
		name, env string
		root      fs.FS
		want      int64
	}{
		{"of the control group", "", limited, 900_000_000},
		{"GOMEMLIMIT, which the runtime has read", "800MB", limited, 700_000_000},
		{"none", "", fstest.MapFS{}, 700_000_000},
	} {
		debug.SetMemoryLimit(700_000_000)
		limitMemory(tt.root, func(string) string { return tt.env }, slog.New(slog.DiscardHandler))
		if got := debug.SetMemoryLimit(-1); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func FuzzCgroupLimit(f *testing.F) {
	f.Add("5:cpu,memory:/a/b\n0::/../..\n", "9223372036854771712")
	f.Add("0::/a\n", "max")
	f.Fuzz(func(t *testing.T, groups, limit string) {
		root := fstest.MapFS{"proc/self/cgroup": {Data: []byte(groups)}}
		for _, name := range []string{"memory.max", "a/memory.max", "memory/memory.limit_in_bytes", "memory/a/memory.limit_in_bytes"} {
			root["sys/fs/cgroup/"+name] = &fstest.MapFile{Data: []byte(limit)}
		}
		if n, ok := cgroupLimit(root); ok && (n <= 0 || n >= unlimited) {
			t.Fatalf("a limit of %d", n)
		}
	})
}

func TestGCPacer_Garbage(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 6 << 20: 183, 11 << 20: 100, 24 << 20: 45, 48 << 20: 22, 100 << 20: 63, 1 << 30: 96, 1 << 40: 99} {
		if got := garbage(live); got != want {
			t.Errorf("%d live bytes: %d %%, want %d", live, got, want)
		}
	}
}
