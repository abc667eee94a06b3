package main

import (
	"slices"
	"strconv"

	"github.com/tensmith/tensmith/describe"
)

func (a *app) printStats(r *statsRequest, report *statsReport) error {
	left := 0
	if r.top > 0 && r.top < len(report.Rows) {
		left = len(report.Rows) - r.top
		report.Rows = report.Rows[:r.top]
	}
	switch a.format {
	case "json":
		return a.printJSON(report)
	case "jsonl":
		for i := range report.Rows {
			report.Rows[i].Schema = report.Schema
		}
		return printLines(a, slices.Values(report.Rows))
	case "tsv":
		return a.statsTSV(r, report)
	}
	if err := a.statsTable(r, report); err != nil {
		return err
	}
	if left > 0 {
		a.words("and %s more", group(int64(left)))
	}
	packed, others := map[string]int{}, 0
	for _, row := range report.Rows {
		switch {
		case row.Role == describe.Packed.String():
			packed[row.Note] += row.Tensors
		case row.Note != "":
			others += row.Tensors
		}
	}
	for _, label := range sortedKeys(packed) {
		a.words("* %s of packed weights (%s): the figures are those of the stored codes, not of the weights, and not in the total", plural(packed[label], "tensor"), label)
	}
	if others > 0 {
		a.words("* %s that are no weights: not in the total", plural(others, "tensor"))
	}
	return nil
}

func sortedKeys(m map[string]int) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (a *app) statsTSV(r *statsRequest, report *statsReport) error {
	headings := []string{"name", "dtype", "shape", "role", "note", "tensors", "bytes"}
	for _, c := range statsColumns {
		if c.name == "infs" {
			headings = append(headings, "pos_infs", "neg_infs")
			continue
		}
		headings = append(headings, c.name)
	}
	for _, q := range r.shares {
		headings = append(headings, quantileName(q))
	}
	out := a.sheet(headings...)
	for _, row := range report.Rows {
		dims := ""
		if r.by == "tensor" {
			dims = shape(row.Shape)
		}
		cells := []any{row.Name, row.DType, dims, row.Role, row.Note, row.Tensors, row.Bytes}
		for _, c := range statsColumns {
			if c.name == "infs" {
				cells = append(cells, row.PosInfs, row.NegInfs)
				continue
			}
			cells = append(cells, c.value(row))
		}
		for i := range r.shares {
			cells = append(cells, any(nil))
			if i < len(row.Quantiles) {
				cells[len(cells)-1] = row.Quantiles[i].Value
			}
		}
		out.row(cells...)
	}
	return out.flush()
}

func quantileName(q float64) string { return "q" + strconv.FormatFloat(q, 'g', -1, 64) }

func (a *app) statsTable(r *statsRequest, report *statsReport) error {
	head := r.by
	if r.by == "tensor" || r.by == "model" {
		head = "name"
	}
	f := figures{a: a, columns: []figure{{head: head, left: true}, {head: "dtype", rank: 5, left: true}}}
	// Columns of what there is none of say nothing.
	some := map[string]bool{}
	for _, c := range statsColumns {
		some[c.name] = !slices.Contains([]string{"nans", "infs", "subnormals"}, c.name) || c.value(&report.Total) > 0 ||
			slices.ContainsFunc(report.Rows, func(r *statsRow) bool { return c.value(r) > 0 })
	}
	for _, c := range statsColumns {
		rank := c.rank
		if len(r.shares) > 0 && c.name != "nans" && c.name != "infs" {
			rank += 2 // what was asked for stays longer
		}
		if some[c.name] {
			f.columns = append(f.columns, figure{head: c.name, rank: rank})
		}
	}
	for _, q := range r.shares {
		f.columns = append(f.columns, figure{head: quantileName(q), rank: 1})
	}
	line := func(row *statsRow, name cell) []cell {
		dtype := cell{row.DType, cyan}
		if row.Note != "" {
			dtype = cell{row.DType + " (" + row.Note + ")", yellow}
		}
		cells := []cell{name, dtype}
		for _, c := range statsColumns {
			if !some[c.name] {
				continue
			}
			text := cell{text: c.value(row).short()}
			if c.text != nil {
				text.text = c.text(row)
			}
			if (c.name == "nans" || c.name == "infs") && c.value(row) > 0 {
				text.style = red
			}
			if row.Note != "" {
				text.style = dim
			}
			cells = append(cells, text)
		}
		for i := range r.shares {
			text := "-"
			if i < len(row.Quantiles) {
				text = row.Quantiles[i].Value.short()
			}
			cells = append(cells, cell{text: text})
		}
		return cells
	}
	f.count = len(report.Rows)
	if r.by != "model" && report.Total.Tensors > 0 && (len(report.Rows) > 1 || report.Total.Tensors > 1) {
		f.count++
	}
	f.make = func(i int) []cell {
		if i == len(report.Rows) {
			return line(&report.Total, cell{plural(report.Total.Tensors, "tensor"), bold})
		}
		row := report.Rows[i]
		name := cell{text: shorten(safe(row.Name), 120)}
		if row.Note != "" {
			name.text += "*" // the dtype may have given way
		}
		return line(row, name)
	}
	return f.flush()
}
