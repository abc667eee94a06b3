package main

import (
	"os"
	"reflect"
	"testing"
)

func TestCodeAround(t *testing.T) {
	const maps = "00400000-00eac000 r-xp 00000000 fe:00 5643 /usr/local/bin/ten smith\n" +
		"00eac000-01a2e000 r--p 00aac000 fe:00 5643 /usr/local/bin/ten smith\n" +
		"01ade000-03b2c000 r-xp 00000000 00:00 0 \n" +
		"c000000000-c000400000 rw-p 00000000 00:00 0 \n" +
		"7ffe0e5f1000-7ffe0e5f3000 r-xp 00000000 00:00 0 [vdso]\n" +
		"9000-zzzz r-xp 00000000 fe:00 5643 /a\n-1 r-xp 00000000 fe:00 5643 /a\nr-xp\n\n"
	for address, want := range map[uint64][2]uint64{
		0x400000:       {0x400000, 0xaac000},
		0xeabfff:       {0x400000, 0xaac000},
		0xeac000:       {}, // data
		0x1ade000:      {}, // of no file
		0x7ffe0e5f1000: {},
		0x9000:         {},
		0:              {},
	} {
		first, size := codeAround([]byte(maps), address)
		if got := [2]uint64{first, size}; got != want {
			t.Errorf("codeAround(%#x) = %#x, want %#x", address, got, want)
		}
	}
}

func TestForgetStart(t *testing.T) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	address := uint64(reflect.ValueOf(forgetStart).Pointer())
	if first, size := codeAround(maps, address); size == 0 || address-first >= size {
		t.Errorf("the code of this test, at %#x, is in none of\n%s", address, maps)
	}
	forgetStart() // and what runs, runs on
}
