package scan

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/snappy"
)

// A checkpoint of TensorFlow is an index, which is a table of LevelDB
// (doc/table_format.md there), and files of numbers, which have no mark:
// tensorflow/core/util/tensor_bundle. The entry of the empty key is a
// BundleHeaderProto, all others are a BundleEntryProto.

// A tensorBundle is what an index says of the files beside it.
type tensorBundle struct {
	tensors int
	shards  uint64
	parts   [][3]uint64 // shard, begin, end
}

const (
	tableMagic = "\x57\xfb\x80\x8b\x24\x75\x47\xdb"
	maxBlock   = 4 << 20 // TensorFlow's have 256 KiB
	maxEntries = 200_000

	maxShardFiles = 10_000 // of one checkpoint that are looked for
)

// errTable is the cause of errors about bytes that are no table.
var errTable = errors.New("no sound table of LevelDB")

// tableBlock reads a block by its handle.
func tableBlock(b blob, off, size uint64) ([]byte, error) {
	if off > uint64(b.size) || size > maxBlock || size+5 > uint64(b.size)-off {
		return nil, fmt.Errorf("a block of %d bytes at %d: %w", size, off, errTable)
	}
	p, err := b.at(int64(off), int64(size)+5)
	if err != nil || uint64(len(p)) < size+5 {
		return nil, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	if maskedSum(p[:size+1]) != le.Uint32(p[size+1:]) {
		return nil, fmt.Errorf("the checksum of the block at %d: %w", off, errTable)
	}
	switch p[size] {
	case 0:
		return p[:size], nil
	case 1:
		if n, err := snappy.DecodedLen(p[:size]); err != nil || n > maxBlock {
			return nil, fmt.Errorf("a block at %d that becomes %d bytes: %w", off, n, errTable)
		}
		return snappy.Decode(nil, p[:size])
	}
	return nil, fmt.Errorf("a block compressed by method %d %w", p[size], errUnread)
}

// tableEntries calls visit for the entries of a block, whose keys are written by
// how they differ from the one before.
func tableEntries(p []byte, visit func(key, value []byte) error) error {
	if len(p) < 4 {
		return errTable
	}
	restarts := uint64(le.Uint32(p[len(p)-4:]))
	if restarts > uint64(len(p)-4)/4 {
		return errTable
	}
	p = p[:len(p)-4-4*int(restarts)]
	var key []byte
	for len(p) > 0 {
		var n [3]uint64 // of the key shared, and its own; of the value
		for i := range n {
			v, k := binary.Uvarint(p)
			if k <= 0 || v > maxBlock {
				return errTable
			}
			n[i], p = v, p[k:]
		}
		if n[0] > uint64(len(key)) || n[1]+n[2] > uint64(len(p)) {
			return errTable
		}
		key = append(key[:n[0]], p[:n[1]]...)
		if err := visit(key, p[n[1]:n[1]+n[2]]); err != nil {
			return err
		}
		p = p[n[1]+n[2]:]
	}
	return nil
}

// bundle reads the index of a checkpoint.
func (t *trace) bundle(b blob) (*tensorBundle, error) {
	foot, err := b.at(b.size-48, 48)
	if err != nil || len(foot) < 48 || string(foot[40:]) != tableMagic {
		return nil, cmp.Or(err, fmt.Errorf("the end of the file: %w", errTable))
	}
	var handles [4]uint64
	for i := range handles {
		v, k := binary.Uvarint(foot)
		if k <= 0 {
			return nil, errTable
		}
		handles[i], foot = v, foot[k:]
	}
	index, err := tableBlock(b, handles[2], handles[3])
	if err != nil {
		return nil, err
	}
	tb, end, entries := &tensorBundle{}, uint64(0), 0
	err = tableEntries(index, func(_, value []byte) error {
		off, k := binary.Uvarint(value)
		size, m := binary.Uvarint(value[max(k, 0):])
		if k <= 0 || m <= 0 || off < end { // blocks stand one behind the other
			return errTable
		}
		block, err := tableBlock(b, off, size)
		if err != nil {
			return err
		}
		end = off + size
		return tableEntries(block, func(key, value []byte) error {
			if entries++; entries > maxEntries || t.ctx.Err() != nil {
				return errBudget
			}
			return t.bundleEntry(tb, key, value)
		})
	})
	if err == nil && tb.shards == 0 {
		err = fmt.Errorf("no number of shards: %w", errTable)
	}
	return tb, err
}

func (t *trace) bundleEntry(tb *tensorBundle, key, value []byte) error {
	var shard, off, size uint64
	pieces := false
	whole := t.fields(inMemory(value), func(f field) bool {
		switch {
		case len(key) == 0 && f.number == 1:
			tb.shards = f.value
		case len(key) == 0:
		case f.number == 3:
			shard = f.value
		case f.number == 4:
			off = f.value
		case f.number == 5:
			size = f.value
		case f.number == 7:
			pieces = true // which have entries of their own
		}
		return true
	})
	if !whole || off+size < off {
		return errTable
	}
	if len(key) > 0 && !pieces {
		tb.tensors++
		tb.parts = append(tb.parts, [3]uint64{shard, off, off + size})
	}
	return nil
}

// tensorIndex reads the index of a checkpoint of TensorFlow.
func (t *trace) tensorIndex(b blob, at place) {
	tb, err := t.bundle(b)
	if err != nil {
		t.note("ST408", at, -1, "tensor-bundle", "the index of a TensorFlow checkpoint: "+err.Error())
		return
	}
	t.note("ST409", at, 0, "tensor-bundle", fmt.Sprintf("the index of a TensorFlow checkpoint of %d tensors, which holds no code", tb.tensors))
}

// bundles compares the indexes of TensorFlow checkpoints with the files beside
// them. Those have no mark, and are known if the index has numbers for every
// byte of them.
func (s *scanner) bundles(ctx context.Context, byPath map[string]*File) {
	for i := range s.files {
		f := &s.files[i]
		if f.Format != "tensor-bundle" || !strings.HasSuffix(f.Path, ".index") {
			continue
		}
		raw, err := s.small(f.Path)
		if err != nil {
			continue // the scan of the file has told
		}
		tb, err := newTrace(ctx, s.opts, f.Size).bundle(inMemory(raw))
		if err != nil {
			continue
		}
		slices.SortFunc(tb.parts, func(a, b [3]uint64) int { return slices.Compare(a[:], b[:]) })
		missing := 0
		for shard := range min(tb.shards, maxShardFiles) {
			name := fmt.Sprintf("%s.data-%05d-of-%05d", strings.TrimSuffix(path.Base(f.Path), ".index"), shard, tb.shards)
			end, whole := tb.cover(shard)
			data := s.target(byPath[path.Join(path.Dir(f.Path), name)], byPath)
			switch {
			case data == nil:
				if missing++; missing <= maxKept {
					f.add("ST506", -1, name, fmt.Sprintf("asks for %+q, which is not there", name))
				} else {
					f.Dropped++
				}
			case end > uint64(data.Size):
				f.add("ST506", -1, name, fmt.Sprintf("has tensors in %+q up to byte %d, and that file has %d", name, end, data.Size))
			case end == uint64(data.Size) && whole && data.Format == "unknown" && len(data.Findings) == 1 && data.Findings[0].ID == "ST405":
				data.Format, data.Findings = "tensor-data", nil
				data.add("ST409", 0, f.Path, fmt.Sprintf("the numbers of a TensorFlow checkpoint, to the last byte, by its index %+q", clip(path.Base(f.Path), 80)))
			}
		}
	}
}

// cover takes the parts of a shard, which are sorted and of which those of the
// shards before were taken. It returns where its last tensor ends, and whether
// there are tensors for all bytes before.
func (tb *tensorBundle) cover(shard uint64) (end uint64, whole bool) {
	whole = true
	for len(tb.parts) > 0 && tb.parts[0][0] == shard {
		whole = whole && tb.parts[0][1] <= end
		end = max(end, tb.parts[0][2])
		tb.parts = tb.parts[1:]
	}
	return end, whole
}

// fingerprint knows the FingerprintDef beside a SavedModel (fingerprint.proto
// there), five sums, a version and an id, of which each stands once and nothing
// else.
func (t *trace) fingerprint(b blob) bool {
	sums, odd := 0, b.size > 256
	last := 0
	whole := !odd && t.fields(b, func(f field) bool {
		switch odd = odd || f.number <= last; {
		case f.number <= 5 && f.wire == 0:
			sums++
		case f.number == 6 && f.wire == 2 && f.data.size <= 16, f.number == 7 && f.wire == 2 && f.data.size <= 64:
		default:
			odd = true
		}
		last = f.number
		return !odd
	})
	return whole && !odd && sums >= 4
}

// mlir tells of MLIR's bytecode (mlir.llvm.org/docs/BytecodeFormat): its version
// and who has made it.
func (t *trace) mlir(b blob, at place) {
	head, err := b.at(4, 200)
	if err != nil {
		t.unreadable(at, 4, err)
		return
	}
	who := "an unknown program"
	if len(head) > 1 && head[0]&1 != 0 { // a version of one byte
		if name, _, ok := bytes.Cut(head[1:], []byte{0}); ok && len(name) > 0 {
			who = fmt.Sprintf("%+q", clip(string(name), 60))
		}
	}
	t.note("ST387", at, 0, "mlir", "bytecode of MLIR, written by "+who)
}
