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
		Long:  "Print the JSON of a file's header, indented, in the order it is stored; or\njust as it is stored, padding included.",
		Args:  args(1, 1, "FILE"),
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
			if !raw {
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
