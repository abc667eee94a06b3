package main

import (
	"slices"
	"strconv"

	"github.com/tensmith/tensmith/describe"
)

func (a *app) printStats(r *statsRequest, report *statsReport) error {
	left := 0
	if r.top > 0 && r.top < len(report.order) {
		left = len(report.order) - r.top
		report.order = report.order[:r.top]
	}
	switch a.format {
	case "json":
		report.Rows = listing{len(report.order), func(i int) any { return report.row(i) }}
		return a.printJSON(report)
	case "jsonl":
		return printLines(a, func(yield func(*statsRow) bool) {
			for row := range report.rows {
				if row.Schema = report.Schema; !yield(row) {
					return
				}
			}
		})
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
	for row := range report.rows {
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

// rows calls yield for each row, which is its own.
func (r *statsReport) rows(yield func(*statsRow) bool) {
	for i := range r.order {
		if !yield(r.row(i)) {
			return
		}
	}
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
	for row := range report.rows {
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
		some[c.name] = !slices.Contains([]string{"nans", "infs", "subnormals"}, c.name) || c.value(&report.Total) > 0
	}
	for _, u := range report.order {
		some["nans"] = some["nans"] || u.nans > 0
		some["infs"] = some["infs"] || u.posInfs+u.negInfs > 0
		some["subnormals"] = some["subnormals"] || u.subnormals > 0
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
	f.count = len(report.order)
	if r.by != "model" && report.Total.Tensors > 0 && (len(report.order) > 1 || report.Total.Tensors > 1) {
		f.count++
	}
	f.make = func(i int) []cell {
		if i == len(report.order) {
			return line(&report.Total, cell{plural(report.Total.Tensors, "tensor"), bold})
		}
		row := report.row(i)
		name := cell{text: shorten(safe(row.Name), 120)}
		if row.Note != "" {
			name.text += "*" // the dtype may have given way
		}
		return line(row, name)
	}
	return f.flush()
}
