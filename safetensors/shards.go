package safetensors

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// WriteShards writes the entries, in the order they are given, to as many
// files as it takes for none to hold more than size bytes of data; only a
// tensor that is larger stands alone in a larger one. For the name
// "model.safetensors" the files are model-00001-of-00003.safetensors and so
// on, and model.safetensors.index.json; if one is enough it is
// model.safetensors. All files are complete before the first gets its name,
// and the index gets its own last. Then what an earlier model of the same
// name has left is removed: its index, and shards of other numbers. WriteShards
// returns the names of the files it wrote, without the index.
func (e *Encoder) WriteShards(ctx context.Context, name string, size int64, entries []Entry) ([]string, error) {
	base, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return nil, fmt.Errorf("%w: the name %s does not end in %s", ErrEntry, quote(name), suffix)
	}
	if size <= 0 {
		return nil, fmt.Errorf("%w: a limit of %d bytes", ErrEntry, size)
	}
	if twin, twice := duplicate(entries); twice {
		return nil, entryError(twin, ErrDuplicate)
	}
	shards, total, err := split(entries, size)
	if err != nil {
		return nil, err
	}
	if len(shards) == 1 {
		if err := e.WriteFile(ctx, name, entries); err != nil {
			return nil, err
		}
		return []string{name}, removeStale(base, nil)
	}

	plans := make([]*plan, len(shards))
	names := make([]string, len(shards))
	for i, shard := range shards {
		if plans[i], err = e.plan(shard); err != nil {
			return nil, err
		}
		names[i] = fmt.Sprintf("%s-%05d-of-%05d%s", base, i+1, len(shards), suffix)
	}
	var files []*atomicFile
	defer func() {
		for _, f := range files {
			f.abort()
		}
	}()
	written := int64(0)
	for i, plan := range plans {
		f, err := createAtomic(names[i], e)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		var progress func(int64)
		if e.Progress != nil {
			progress = func(n int64) { e.Progress(written + n) }
		}
		if err := plan.write(ctx, f, progress); err != nil {
			return nil, fmt.Errorf("%s: %w", names[i], err)
		}
		if err := f.finish(); err != nil {
			return nil, err
		}
		written += plan.size
	}
	index, err := createAtomic(base+indexSuffix, e)
	if err != nil {
		return nil, err
	}
	files = append(files, index)
	if err := writeIndex(index, total, entries, shards, names); err != nil {
		return nil, err
	}
	if err := index.finish(); err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := f.publish(); err != nil {
			return nil, err
		}
	}
	return names, removeStale(base, names)
}

// removeStale removes what would make readers take an earlier model of the
// name for a part of the one just written: shards that are not among names,
// the index if there are none, and the file of the whole model if there are.
func removeStale(base string, names []string) error {
	dir, stem := filepath.Split(base)
	entries, err := os.ReadDir(filepath.Clean(dir + "."))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		m := shardName().FindStringSubmatch(name)
		switch {
		case m != nil && m[1] == stem+"-" && !slices.Contains(names, dir+name):
		case name == stem+indexSuffix && len(names) == 0:
		case name == stem+suffix && len(names) > 0:
		default:
			continue
		}
		if err := os.Remove(dir + name); err != nil {
			return err
		}
	}
	return nil
}

// split cuts entries into shards and returns their size all together.
func split(entries []Entry, limit int64) (shards [][]Entry, total int64, err error) {
	first, sum := 0, int64(0)
	for i := range entries {
		size, err := entries[i].check(entries[i].sourceSize())
		if err != nil {
			return nil, 0, entryError(entries[i].Name, err)
		}
		if i > first && size > limit-sum {
			shards = append(shards, entries[first:i])
			first, sum = i, 0
		}
		sum += size
		if total += size; total < 0 || sum < 0 {
			return nil, 0, entryError(entries[i].Name, ErrOverflow)
		}
	}
	return append(shards, entries[first:]), total, nil
}

// writeIndex writes an index as the libraries of the Hub do: sorted, indented by
// two. The shards are the entries, cut, and have their names.
func writeIndex(w io.Writer, total int64, entries []Entry, shards [][]Entry, names []string) error {
	order, from := make([]int32, len(entries)), make([]int, len(shards)+1)
	for i := range entries {
		order[i] = int32(i)
	}
	for i, shard := range shards {
		from[i+1] = from[i] + len(shard)
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(entries[a].Name, entries[b].Name) })
	out := bufio.NewWriter(w) // which keeps its first error
	b := append([]byte(nil), "{\n  \"metadata\": {\n    \"total_size\": "...)
	b = strconv.AppendInt(b, total, 10)
	b = append(b, "\n  },\n  \"weight_map\": {"...)
	for n, i := range order {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, "\n    "...)
		b = appendString(b, entries[i].Name)
		b = append(b, ": "...)
		shard := sort.SearchInts(from, int(i)+1) - 1
		b = appendString(b, filepath.Base(names[shard]))
		out.Write(b)
		b = b[:0]
	}
	b = append(b, "\n  }\n}\n"...)
	out.Write(b)
	return out.Flush()
}
