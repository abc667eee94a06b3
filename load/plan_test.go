package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// pieces makes sorted pieces of one file from gaps and sizes.
func pieces(f *file, gapsAndSizes ...int64) (all []*piece) {
	at := int64(0)
	for i := 0; i+1 < len(gapsAndSizes); i += 2 {
		at += gapsAndSizes[i]
		all = append(all, &piece{t: &Tensor{}, file: f, begin: at, end: at + gapsAndSizes[i+1]})
		at += gapsAndSizes[i+1]
	}
	return all
}

func TestExtents(t *testing.T) {
	f := &file{}
	for name, test := range map[string]struct {
		pieces []*piece
		limit  int64
		want   [][2]int64
	}{
		"neighbours":         {pieces(f, 8, 100, 0, 200, 0, 1), extentSize, [][2]int64{{8, 309}}},
		"a gap of a page":    {pieces(f, 0, 100, page-1, 100, page, 100), extentSize, [][2]int64{{0, 199 + page}, {199 + 2*page, 299 + 2*page}}},
		"a gap that is 5 %":  {pieces(f, 0, 200_000, 10_000, 100), extentSize, [][2]int64{{0, 210_100}}},
		"one that is more":   {pieces(f, 0, 200_000, 10_001, 100), extentSize, [][2]int64{{0, 200_000}, {210_001, 210_101}}},
		"two that are more":  {pieces(f, 0, 200_000, 9_000, 100, 9_000, 100), extentSize, [][2]int64{{0, 209_100}, {218_100, 218_200}}},
		"a wide gap":         {pieces(f, 0, 10<<20, wideGap, 100, wideGap+1, 100), extentSize, [][2]int64{{0, 10<<20 + wideGap + 100}, {10<<20 + 2*wideGap + 101, 10<<20 + 2*wideGap + 201}}},
		"the limit":          {pieces(f, 0, 60, 0, 40, 0, 1), 100, [][2]int64{{0, 100}, {100, 101}}},
		"more than it":       {pieces(f, 0, 60, 0, 400, 0, 1), 100, [][2]int64{{0, 60}, {60, 460}, {460, 461}}},
		"two that overlap":   {pieces(f, 0, 60, -10, 60), 100, [][2]int64{{0, 60}, {50, 110}}},
		"one that is twice":  {pieces(f, 5, 60, -60, 60), 100, [][2]int64{{5, 65}, {5, 65}}},
		"data that is asked": {pieces(nil, 0, 60, -60, 60), 100, [][2]int64{{0, 60}, {0, 60}}},
	} {
		var got [][2]int64
		for _, e := range extents(test.pieces, test.limit) {
			got = append(got, [2]int64{e.begin, e.end})
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// FuzzPlan makes a file's worth of tensors, and slices of them, and states:
// every byte asked for is read for its tensor exactly once, none outside of
// the file is, no chunk crosses a block of the file, or a huge page of memory
// that is the extent's, and what is read without
// need is bounded.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{1, 0, 2, 0, 3, 0, 0, 0}, uint32(100), false)
	f.Add([]byte{255, 255, 255, 255, 255, 255, 16, 0, 200, 200, 0, 5}, uint32(1<<20), true)
	f.Fuzz(func(t *testing.T, sizes []byte, limit uint32, own bool) {
		sizes = sizes[:min(len(sizes), 200)]
		var all []safetensors.Entry
		for i := 0; i+1 < len(sizes); i += 2 {
			rows := uint64(binary.LittleEndian.Uint16(sizes[i:])) * uint64(1+i%7)
			info := safetensors.Info{Name: fmt.Sprint(i), DType: safetensors.U8, Shape: []uint64{rows, uint64(1 + sizes[i]%50)}}
			all = append(all, safetensors.Entry{Info: info, Data: zeros{}})
		}
		file := header(t, all)
		var requests []Request
		for i, r := range Tensors(file.All()) {
			tensor := r.Data.(*safetensors.Tensor)
			rows := r.Shape[0]
			switch i % 4 {
			case 0:
				requests = append(requests, r)
			case 1, 2:
				s, err := tensor.Slice(safetensors.Span(rows/4, rows-rows/4))
				if err != nil {
					t.Fatal(err)
				}
				requests = append(requests, Request{Info: s.Info, Data: s})
			}
			if i%5 == 0 {
				s, err := tensor.Slice(safetensors.Range{}.Every(2), safetensors.Span(0, 1))
				if err != nil {
					t.Fatal(err)
				}
				requests = append(requests, Request{Info: s.Info, Data: s}, r)
			}
		}
		for i := range requests {
			if n, _ := requests[i].DataSize(); i%7 == 3 && n < 1<<12 {
				requests[i].Into = make([]byte, n)
			}
		}
		p, err := newPlan(requests, own, false, int64(limit))
		if err != nil {
			t.Fatal(err)
		}
		got := map[*Tensor]int64{}
		for _, tensor := range p.empty {
			got[tensor] = 0
		}
		var needed, read, pages int64
		for _, e := range p.extents {
			inFile := e.file != nil
			if inFile && (e.begin < file.DataOffset() || e.end > file.Size()) {
				t.Fatalf("extent from %d to %d of a file of %d", e.begin, e.end, file.Size())
			}
			if e.end-e.begin > int64(limit) && len(e.pieces) > 1 {
				t.Fatalf("%d pieces from %d to %d, limit %d", len(e.pieces), e.begin, e.end, limit)
			}
			last, from := e.begin, int64(0)
			if !e.own() {
				e.compact(e.align(0))
				from = e.from
			}
			for i, piece := range e.pieces {
				if i > 0 && piece.begin < e.pieces[i-1].end {
					t.Fatal("pieces of an extent overlap")
				}
				if piece.own != e.own() || piece.own != (own || piece.into != nil) {
					t.Fatal("memory of the wrong kind")
				}
			}
			for e.next < e.end {
				begin, end := e.cut()
				if begin != last || end <= begin || end > e.end || (begin-from)/blockSize != (end-1-from)/blockSize {
					t.Fatalf("chunk from %d to %d, the one before ends at %d", begin, end, last)
				}
				last = end
				for _, piece := range e.overlapping(begin, end) {
					part := min(piece.end, end) - max(piece.begin, begin)
					if part <= 0 {
						t.Fatal("a piece has nothing of a chunk")
					}
					got[piece.t] += part
					piece.left -= part
				}
			}
			for _, piece := range e.pieces {
				if piece.left != 0 {
					t.Fatalf("%d bytes left", piece.left)
				}
				needed += piece.end - piece.begin
			}
			read += e.end - e.begin
			pages += int64(len(e.pieces)-1) * (page - 1)
		}
		if read > needed+needed/20+pages {
			t.Errorf("%d bytes read of which %d were needed", read, needed)
		}
		if len(got) != len(requests) || p.total != needed {
			t.Fatalf("%d tensors of %d, %d bytes of %d", len(got), len(requests), needed, p.total)
		}
		for tensor, n := range got {
			if want, _ := requests[tensor.Request].DataSize(); n != want {
				t.Errorf("%d bytes of request %d, want %d", n, tensor.Request, want)
			}
		}
	})
}

// FuzzRing states that what is taken never overlaps, begins where it is to,
// and that an empty ring has room for anything up to its size, where it has to begin.
func FuzzRing(f *testing.F) {
	f.Add([]byte{3, 5, 0x80, 7, 0x81, 9, 9, 0x80})
	f.Add(append(bytes.Repeat([]byte{0xff}, page), 0x77)) // as large as the ring, which is to begin behind a page
	f.Fuzz(func(t *testing.T, ops []byte) {
		const size = 40 * page
		mem := aligned(make([]byte, size+page), page)[:size]
		g := ring{mem: mem}
		var live []*extent
		for i, op := range ops {
			if op >= 0x80 && len(live) > 0 {
				n := int(op&0x7f) % len(live)
				e := live[n]
				for j := range e.mem {
					if e.mem[j] != byte(e.begin) {
						t.Fatal("memory was written over")
					}
				}
				g.free(e)
				live = slices.Delete(live, n, n+1)
				continue
			}
			e := &extent{begin: int64(i), end: int64(i) + 1 + int64(op)*page/3}
			align := int64(page) << (op % 4)
			m, ok := g.take(e, align)
			if !ok {
				if len(live) == 0 && e.shift()&(align-1)+e.footprint() <= size {
					t.Fatalf("no room for %d bytes in an empty ring", e.footprint())
				}
				continue
			}
			if at := address(m) - address(mem); int64(len(m)) != e.footprint() || (at-e.shift())%align != 0 {
				t.Fatalf("%d bytes at %d, want %d at %d modulo %d", len(m), at, e.footprint(), e.shift(), align)
			}
			e.mem = m
			for j := range m {
				m[j] = byte(e.begin)
			}
			live = append(live, e)
		}
		var used int64
		for _, e := range live {
			used += e.footprint()
		}
		if g.used != used {
			t.Errorf("%d bytes used, want %d", g.used, used)
		}
	})
}
