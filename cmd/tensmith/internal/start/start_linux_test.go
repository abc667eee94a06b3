package start

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestUnchanged(t *testing.T) {
	const maps = `00400000-00eac000 r-xp 00000000 fe:00 5643 /usr/local/bin/ten smith
Size:              10928 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
00eac000-01a2e000 r--p 00aac000 fe:00 5643 /usr/local/bin/ten smith
Anonymous:             0 kB
01a2e000-01a30000 r--p 00aac000 fe:00 5643 /usr/local/bin/ten smith
Anonymous:             4 kB
01a30000-01ade000 rw-p 01630000 fe:00 5643 /usr/local/bin/ten smith
Anonymous:             0 kB
01ade000-03b2c000 r-xp 00000000 00:00 0
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:00 5644 /lib/libc.so.6
Anonymous:             0 kB
7f0000001000-7f0000002000 r-xp 00000000 fe:01 5643 /another/disk
Anonymous:             0 kB
7f0000002000-7f0000003000 r-xs 00000000 fe:00 5643 /usr/local/bin/ten smith
Anonymous:             0 kB
7f0000003000-7f0000004000 r-xp 00000000 fe:00 5643 /usr/local/bin/ten smith
7f0000004000-7f0000005000 r--p 00000000 fe:00 5645 /which/says/nothing/of/it
9000-zzzz r-xp 00000000 fe:00 5643 /a
Anonymous:             0 kB
9000-8000 r-xp 00000000 fe:00 5643 /a
Anonymous:             0 kB
-1 r-xp 00000000 fe:00 5643 /a
r-xp
`
	program := []mapping{{0x400000, 0xaac000}, {0xeac000, 0xb82000}}
	changed := strings.Replace(maps, "0 kB", "4 kB", 1) // as a breakpoint does
	for _, test := range []struct {
		maps    string
		address uint64
		want    []mapping
	}{
		{maps, 0x400000, program},
		{maps, 0xeabfff, program},
		{changed, 0x400000, program[1:]},
		{maps, 0xeac000, nil},  // data
		{maps, 0x1ade000, nil}, // of no file
		{maps, 0x9000, nil},
		{maps, 0, nil},
		{"", 0x400000, nil},
	} {
		got := unchanged([]byte(test.maps), test.address)
		if !slices.Equal(got, test.want) {
			t.Errorf("of what has code at %#x: %#x, want %#x", test.address, got, test.want)
		}
	}
}

func TestForget(t *testing.T) {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	address := uint64(reflect.ValueOf(unchanged).Pointer())
	for _, m := range unchanged(maps, address) {
		if m.first <= address && address < m.first+m.size {
			if !Forget() {
				t.Error("nothing was given back")
			}
			return // for what runs, runs on
		}
	}
	if strings.Contains(string(maps), "Anonymous:") {
		t.Errorf("the code of this test, at %#x, is in none of\n%s", address, maps)
	}
}
