package start

import (
	"bytes"
	"os"
	"reflect"
	"strconv"
	"syscall"

	_ "github.com/tensmith/tensmith/audit"
)

// program is what can be given back, as it was when about a quarter of the packages
// were initialised: what is unchanged by then is not changed later.
var program = func() []mapping {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return nil
	}
	return unchanged(maps, uint64(reflect.ValueOf(unchanged).Pointer()))
}()

var _ = Forget()

// Forget gives back the pages of the program's file that its start has touched, and
// tells whether there were some. They are unchanged parts of a file, and of what runs
// later they are read again.
func Forget() bool {
	given := false
	for _, m := range program {
		_, _, errno := syscall.Syscall(syscall.SYS_MADVISE, uintptr(m.first), uintptr(m.size), syscall.MADV_DONTNEED)
		given = given || errno == 0
	}
	return given
}

// A mapping is a part of memory that shows a part of a file.
type mapping struct{ first, size uint64 }

// unchanged finds, in what /proc/PID/smaps says (proc_pid_smaps(5)), the file of which
// code is at an address, and its mappings that nothing can write to and in which no
// page differs from the file: a debugger's breakpoints are such pages, and the
// addresses that a loader has put in.
func unchanged(maps []byte, address uint64) []mapping {
	var (
		mappings = map[string][]mapping{} // of each file, as far as they are unchanged
		of       string                   // the file that has code at the address
		current  mapping
		file     string // of current, if nothing can write to it
	)
	for line := range bytes.Lines(maps) {
		fields := bytes.Fields(line)
		switch {
		case len(fields) >= 5 && bytes.Contains(fields[0], []byte("-")):
			// first-last mode offset device inode path
			file = ""
			from, to, _ := bytes.Cut(fields[0], []byte("-"))
			a, err := strconv.ParseUint(string(from), 16, 64)
			b, bad := strconv.ParseUint(string(to), 16, 64)
			mode := string(fields[1])
			if err != nil || bad != nil || a >= b || mode != "r-xp" && mode != "r--p" || string(fields[4]) == "0" {
				continue
			}
			current, file = mapping{a, b - a}, string(fields[3])+" "+string(fields[4])
			if mode == "r-xp" && a <= address && address < b {
				of = file
			}
		case file != "" && len(fields) == 3 && string(fields[0]) == "Anonymous:" && string(fields[1]) == "0":
			mappings[file] = append(mappings[file], current)
		}
	}
	return mappings[of]
}
