package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestGlobs(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true},
		{"*.weight", "model.layers.0.weight", true},
		{"*.weight", "model.layers.0.weights", false},
		{"layers.?.w", "layers.7.w", true},
		{"layers.?.w", "layers.77.w", false},
		{"layers.[0-3].w", "layers.4.w", false},
		{"layers.[!0-3].w", "layers.4.w", true},
		{"*.{weight,bias}", "a.bias", true},
		{"*.{weight,bias}", "a.scale", false},
		{"{a,b{c,d}}", "bd", true},
		{"a,b", "a,b", true},
		{"a.b", "axb", false},
		{"a/*", "a/b/c", true},
		{"[[]0]", "[0]", true},
		{"[{]x", "{x", true},
		{`a\b`, `a\b`, true},
		{"*end", "two\nlines end", true},
		{"ü?", "ü漢", true},
		{"ü?", "ü漢字", false},
		{"[ü漢]", "漢", true},
	} {
		match, err := parseGlobs([]string{c.pattern})
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
		} else if match.match(c.name) != c.want {
			t.Errorf("%q and %q: %v", c.pattern, c.name, !c.want)
		}
	}
	for _, bad := range []string{"[", "a[", "[]", "{", "{a,b", "[z-a]", "\xff"} {
		var usage usageError
		if _, err := parseGlobs([]string{bad}); !errors.As(err, &usage) {
			t.Errorf("%.20q: %v, want a mistake of the command line", bad, err)
		}
	}
}

// TestGlobHostile: a pattern of many stars is no riddle. Tried star by star this
// one would take longer than the universe has lasted.
func TestGlobHostile(t *testing.T) {
	match, err := parseGlobs([]string{strings.Repeat("*a", 30) + "*b"})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if match.match(strings.Repeat("a", 100_000)) {
		t.Error("a name without a b matches")
	}
	if !match.match(strings.Repeat("a", 100_000) + "b") {
		t.Error("a name with a b at its end does not match")
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("it took %v", d)
	}
}

// TestTableWide: one long cell does not pad the others to its width, which
// would make the output as long as the square of the input.
func TestTableWide(t *testing.T) {
	var out strings.Builder
	tab := table{a: &app{stdout: &out}, right: []bool{false, true}, give: 0}
	long := strings.Repeat("x", 1<<20)
	const rows = 2000
	for range rows {
		tab.row("name", "1 B")
	}
	tab.row(long, "22 B")
	if err := tab.flush(); err != nil {
		t.Fatal(err)
	}
	if n := out.Len(); n > len(long)+rows*64 {
		t.Errorf("%d bytes", n)
	}
	if !strings.HasPrefix(out.String(), "name   1 B\n") || !strings.HasSuffix(out.String(), long+"  22 B\n") {
		t.Errorf("%.40q", out.String())
	}
}
