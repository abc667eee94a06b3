package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The expectations are those of GNU sed -E, which the test asks again where
// there is one.
func TestExpression(t *testing.T) {
	sed, err := exec.LookPath("sed")
	if err == nil {
		version, _ := exec.Command(sed, "--version").Output()
		if !strings.Contains(string(version), "GNU sed") {
			sed = ""
		}
	}
	for _, c := range []struct{ expression, name, want string }{
		{`s/a/b/`, "banana", "bbnana"},
		{`s/a/b/g`, "banana", "bbnbnb"},
		{`s/A/b/gi`, "banana", "bbnbnb"},
		{`s/(n)(a)/\2\1/`, "banana", "baanna"},
		{`s/an/<&>/g`, "banana", "b<an><an>a"},
		{`s/an/<\&>/`, "banana", "b<&>ana"},
		{`s/a/$0$1${2}/`, "banana", "b$0$1${2}nana"},
		{`s/a/\\/`, "banana", `b\nana`},
		{`s/^/x./`, "banana", "x.banana"},
		{`s/$/.x/`, "banana", "banana.x"},
		{`s/x*/-/g`, "abc", "-a-b-c-"},
		{`s/.*//`, "banana", ""},
		{`s|/|.|g`, "a/b/c", "a.b.c"},
		{`s/\//./g`, "a/b/c", "a.b.c"},
		{`s/\./\//g`, "a.b.c", "a/b/c"},
		{`s#a#\##`, "banana", "b#nana"},
		{`s/(x)?b/[\1]/`, "banana", "[]anana"},
		{`s/layers\.([0-9]+)\./blocks.\1./`, "model.layers.10.w", "model.blocks.10.w"},
	} {
		e, err := parseExpression(c.expression)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		if got, err := e.apply(c.name); err != nil || got != c.want {
			t.Errorf("%s of %s is %s, %v; want %s", c.expression, c.name, got, err, c.want)
		}
		if sed == "" {
			continue
		}
		cmd := exec.Command(sed, "-E", c.expression)
		cmd.Stdin = strings.NewReader(c.name)
		if out, err := cmd.Output(); err != nil || string(out) != c.want {
			t.Errorf("sed says of %s and %s: %s, %v; want %s", c.expression, c.name, out, err, c.want)
		}
	}
}
