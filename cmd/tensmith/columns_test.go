package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Widths are those that Unicode 16 and Python's unicodedata.east_asian_width have.
func TestColumns(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "weight": 6, "poids.é": 7, "e\u0301": 1, "日本": 4, "층.0": 4, "ﾊﾝ": 2, "Ａ１": 4, "🤗": 2, "Ωα…≠": 4,
	} {
		if got := columns(text); got != want {
			t.Errorf("%q takes %d columns, want %d", text, got, want)
		}
	}
}

// What is cut has its ends, fits, and is no shorter than it must be.
func TestShorten(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"model.layers.0.weight", 21, "model.layers.0.weight"},
		{"model.layers.0.weight", 12, "mod…0.weight"},
		{"model.layers.10.self_attn.q_proj.weight", 34, "model.layers.10…attn.q_proj.weight"},
		{"model.layers.10.self_attn.q_proj.weight", 29, "model.lay…_attn.q_proj.weight"},
		{"model-00001-of-00002.safetensors", 26, "model-00001…02.safetensors"},
		{"model-00001-of-00002.safetensors", 22, "model-0…02.safetensors"},
		{"日本日本日本日本", 16, "日本日本日本日本"},
		{"日本日本日本日本", 12, "日…日本日本"},
		{"日本日本日本日本", 4, "日本日本日本日本"},
		{"e\u0301e\u0301e\u0301e\u0301e\u0301", 5, "e\u0301e\u0301e\u0301e\u0301e\u0301"},
	} {
		if diff := cmp.Diff(test.want, shorten(test.text, test.width)); diff != "" {
			t.Errorf("%q in %d columns (-want +got):\n%s", test.text, test.width, diff)
		}
	}
}

// What a hint has for a shell is one argument to it, whatever a file is called.
// Of each the value is what bash made of it: printf %s ARG.
func TestQuoted(t *testing.T) {
	for arg, want := range map[string]string{
		"model-00001-of-00002.safetensors": "model-00001-of-00002.safetensors",
		"/data/模型/a=b,c:d@e%f+g_h":         "/data/模型/a=b,c:d@e%f+g_h",
		"":                                 "''",
		"two  words":                       "'two  words'",
		"$(reboot);`id`&":                  "'$(reboot);`id`&'",
		"it's":                             `'it'\''s'`,
		"-rf":                              "./-rf",
		"line\nend's \\ \x1b[31mé":         `$'line\x0aend\x27s \x5c \x1b[31m\xc3\xa9'`,
		"\xff":                             `$'\xff'`,
		"~/model*":                         "'~/model*'",
	} {
		if diff := cmp.Diff(want, quoted(arg)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", arg, diff)
		}
	}
}

func TestNarrowed(t *testing.T) {
	const text = "Say what a model is:\nits kind and size.\n\n  tensmith info MODEL   what is this?\n\nExit status: 0 described."
	const want = "Say what a\nmodel is: its\nkind and size.\n\n  tensmith info MODEL   what is this?\n\nExit status: 0\ndescribed."
	if diff := cmp.Diff(want, narrowed(text, 14)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
