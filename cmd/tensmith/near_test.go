package main

import "testing"

// slowEdits is the whole table of which edits looks at a band.
func slowEdits(x, y string) int {
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(x) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(y) {
			step := diagonal
			if x[i] != y[j] {
				step = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], step
		}
	}
	return row[len(y)]
}

func FuzzEdits(f *testing.F) {
	f.Add("weight", "weigth", 4)
	f.Add("", "abc", 2)
	f.Add("model.layers.1.w", "model.layers.11.w", 1)
	f.Add("kitten", "sitting", 3)
	f.Fuzz(func(t *testing.T, x, y string, most int) {
		if most < 0 || most > 8 || len(x) > 200 || len(y) > 200 {
			return
		}
		want := min(slowEdits(x, y), most+1)
		if got := min(edits(x, y, most), most+1); got != want {
			t.Errorf("edits(%q, %q, %d) = %d, want %d", x, y, most, got, want)
		}
	})
}
