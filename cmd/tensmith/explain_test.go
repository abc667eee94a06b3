package main

import (
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/tensmith/tensmith/scan"
)

// TestAdvice parses every command that a rule advises: a verb or a flag that
// there is not helps nobody. Operands stand in capitals there.
func TestAdvice(t *testing.T) {
	quoted := regexp.MustCompile("`tensmith ([^`]*)`")
	n := 0
	for _, rule := range scan.Rules {
		for _, m := range quoted.FindAllStringSubmatch(rule.Why+" "+rule.Do, -1) {
			n++
			cmd, rest, err := (&app{stdout: io.Discard, stderr: io.Discard}).root().Find(strings.Fields(m[1]))
			if err != nil || !cmd.HasParent() {
				t.Errorf("%s: %s: there is no such verb", rule.ID, m[0])
				continue
			}
			if err := cmd.ParseFlags(rest); err != nil {
				t.Errorf("%s: %s: %v", rule.ID, m[0], err)
			}
			for _, word := range cmd.Flags().Args() {
				if word != strings.ToUpper(word) {
					t.Errorf("%s: %s: %s is no operand", rule.ID, m[0], word)
				}
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d commands found", n)
	}
}
