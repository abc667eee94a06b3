package memory

import (
	"bytes"
	"os"
	"runtime"
	"testing"
	"testing/fstest"
)

func TestAvailable(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	meminfo := file("MemTotal:  100 kB\nMemAvailable:  50 kB\nHugePages_Total: 0\n")
	for name, test := range map[string]struct {
		root fstest.MapFS
		want int64
	}{
		"nothing":   {fstest.MapFS{}, -1},
		"no groups": {fstest.MapFS{"proc/meminfo": meminfo}, 50 << 10},
		"no bound": {fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/b/memory.current": file("100\n")}, 50 << 10},
		"a bound": {fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("3000\n"), "sys/fs/cgroup/a/b/memory.current": file("2000\n"),
			"sys/fs/cgroup/a/b/memory.stat": file("anon 1\ninactive_file 500\nfile 700\n")}, 1500},
		"a bound above": {fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("3000\n"), "sys/fs/cgroup/a/b/memory.current": file("10\n"),
			"sys/fs/cgroup/a/memory.max": file("900\n"), "sys/fs/cgroup/a/memory.current": file("1000\n")}, 0},
		"in a container": {fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/\n"),
			"sys/fs/cgroup/memory.max": file("3000\n"), "sys/fs/cgroup/memory.current": file("1000\n")}, 2000},
		"version 1": {fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("5:cpu:/x\n4:cpuset,memory:/a\n"),
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": file("2000\n"), "sys/fs/cgroup/memory/a/memory.usage_in_bytes": file("500\n"),
			"sys/fs/cgroup/memory/a/memory.stat": file("total_inactive_file 100\n")}, 1600},
		"version 1, no bound": {fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("4:memory:/a\n"),
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": file("9223372036854771712\n"), "sys/fs/cgroup/memory/a/memory.usage_in_bytes": file("500\n")}, 50 << 10},
		"nonsense": {fstest.MapFS{"proc/meminfo": file("MemAvailable: -5 kB\nMemAvailable\n"), "proc/self/cgroup": file("0::\n:::\nx\n0::../..\n")}, -1},
	} {
		if got := Available(test.root); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	if runtime.GOOS == "linux" {
		if n := Available(os.DirFS("/")); n <= 0 {
			t.Errorf("%d bytes available here", n)
		}
	}
}

// TestUnset: memory that nobody has cleared is nobody else's either.
func TestUnset(t *testing.T) {
	for _, n := range []int{0, 1, 1<<16 - 1, 1 << 16, 1<<16 + 1, 3 << 20} {
		all := make([][]byte, 20)
		for i := range all {
			all[i] = Unset(n)
			if len(all[i]) != n {
				t.Fatalf("%d bytes, not %d", len(all[i]), n)
			}
			for j := range all[i] {
				all[i][j] = byte(i)
			}
			runtime.GC()
		}
		for i, p := range all {
			if len(bytes.Trim(p, string([]byte{byte(i)}))) != 0 {
				t.Errorf("memory %d of %d bytes was written to by others", i, n)
			}
		}
	}
	if n := testing.AllocsPerRun(10, func() { Unset(1 << 20) }); n != 1 {
		t.Errorf("%v allocations", n) // a Builder has changed, and memory is cleared
	}
}
