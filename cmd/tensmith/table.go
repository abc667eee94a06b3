package main

import (
	"bufio"
	"fmt"
	"strings"
)

// A table prints rows in aligned columns. Rows are kept until flush, which
// knows all widths; the column that may be shortened gives way on a terminal.
// In a pipe nothing is cut, but a cell beyond widestCell sticks out of its
// column instead of padding all others to its width: one name of a megabyte
// among a hundred thousand would make a hundred gigabytes of spaces.
type table struct {
	a     *app
	right []bool // columns that are aligned to the right
	give  int    // the column that may be shortened; -1 for none
	rows  [][]cell
	count int                // of rows that are made when they are needed, twice
	make  func(i int) []cell // makes one: there may be a hundred thousand
}

// each calls visit for every row, until it fails.
func (t *table) each(visit func([]cell) error) error {
	for _, row := range t.rows {
		if err := visit(row); err != nil {
			return err
		}
	}
	for i := range t.count {
		if err := visit(t.make(i)); err != nil {
			return err
		}
	}
	return nil
}

type cell struct {
	text  string
	style style
}

// widestCell is how many columns a cell makes the others of its column wide.
const widestCell = 240

func (t *table) row(cells ...any) {
	row := make([]cell, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case cell:
			row[i] = c
		case string:
			row[i] = cell{text: c}
		default:
			row[i] = cell{text: fmt.Sprint(c)}
		}
	}
	t.rows = append(t.rows, row)
}

func (t *table) flush() error {
	var widths []int
	_, onTerminal := terminal(t.a.stdout)
	t.each(func(row []cell) error {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if n := columns(c.text); n <= widestCell {
				widths[i] = max(widths[i], n)
			} else if i == t.give && onTerminal {
				widths[i] = widestCell
			}
		}
		return nil
	})
	if width, ok := terminal(t.a.stdout); ok && t.give >= 0 && t.give < len(widths) {
		total := 2 * (len(widths) - 1)
		for _, w := range widths {
			total += w
		}
		if total > width {
			widths[t.give] = max(12, widths[t.give]-(total-width))
		}
	}
	out := bufio.NewWriter(t.a.stdout)
	err := t.each(func(row []cell) error {
		line := ""
		for i, c := range row {
			text := c.text
			if i == t.give && onTerminal {
				text = shorten(text, widths[i])
			}
			pad := strings.Repeat(" ", max(0, widths[i]-columns(text)))
			painted := t.a.paint(c.style, text)
			switch {
			case i < len(t.right) && t.right[i]:
				painted = pad + painted
			case i < len(row)-1:
				painted += pad
			}
			if i > 0 {
				line += "  "
			}
			line += painted
		}
		_, err := out.WriteString(strings.TrimRight(line, " ") + "\n")
		return err
	})
	if err != nil {
		return err
	}
	return out.Flush()
}
