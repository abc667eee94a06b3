package main

import (
	"bytes"
	"encoding/json"

	"github.com/spf13/cobra"
)

func headerCommand(a *app) *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use:   "header [flags] FILE",
		Short: "print the header's JSON",
		Long:  "Print the JSON of a file's header, indented, in the order it is stored; or\njust as it is stored, padding included. --json puts the header into a document.\n\nExit status: 0 printed, 2 the file could not be read.",
		Example: `  tensmith header model.safetensors
  tensmith header model.safetensors --raw | tail -c 8 | xxd`,
		Args: args(1, 1, "FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.open(args[0])
			if err != nil {
				return err
			}
			defer c.Close()
			files := c.Files()
			if len(files) != 1 {
				return usagef("%s is a model of %d files; name one of them", args[0], len(files))
			}
			text := files[0].Header()
			switch {
			case raw:
			case a.isJSON():
				return a.printJSON(struct {
					Schema     string          `json:"schema"`
					Path       string          `json:"path"`
					DataOffset int64           `json:"data_offset"`
					Header     json.RawMessage `json:"header"`
				}{"tensmith.header/1", args[0], files[0].DataOffset(), bytes.TrimSpace(text)})
			case a.format == "tsv":
				return a.headerSheet(text)
			default:
				var b bytes.Buffer
				if err := json.Indent(&b, bytes.TrimSpace(text), "", "  "); err != nil {
					return err
				}
				b.WriteByte('\n')
				text = b.Bytes()
			}
			if _, ok := terminal(a.stdout); ok {
				text = visible(text)
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "the bytes as they are stored")
	return cmd
}

// headerSheet prints the members of a header, which is known to be an object,
// and their values as JSON.
func (a *app) headerSheet(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return err
	}
	s := a.sheet("key", "value")
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		compact, err := marshal(value)
		if err != nil {
			return err
		}
		s.row(key, compact)
	}
	return s.flush()
}

// visible replaces what could do a terminal harm. JSON itself leaves only
// DEL and what is beyond ASCII unescaped.
func visible(text []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r != '\n' && unprintable(r) {
			return '�'
		}
		return r
	}, text)
}
