package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Options say how a scan is to be made. The zero Options are for a gate.
type Options struct {
	// Deep also reads the tensors themselves, the checksums of all members of
	// archives, and of what is compressed 256 MiB and four times the size of
	// the file, up to 16 GiB.
	Deep bool
	// Jobs is how many files are read at a time; 0 is one for each processor.
	// Files that need memory wait for each other all the same.
	Jobs int
	// Progress, if set, is called by [Path] with how many of all bytes were
	// dealt with, from one goroutine at a time. The total may grow.
	Progress func(done, total int64)
}

// unpack is how many bytes are unpacked of a file of that size.
func (o *Options) unpack(size int64) int64 {
	if o.Deep {
		return min(leastDeep+perOfDeep*min(size, mostOfDeep), mostOfDeep)
	}
	return maxUnpack
}

// A Report is the outcome of a scan.
type Report struct {
	Verdict Verdict // the worst of the files; VerdictError if there are none
	Files   []File  // by path
}

// A File is a file that was looked at, or that was not and should have been.
type File struct {
	Path     string // relative to the place that was scanned
	Format   string // as told by the content, "torch-zip in gzip" for example; "" if it was not read
	Size     int64
	Verdict  Verdict
	Findings []Finding // the heaviest first
	Dropped  int       // findings beyond 1,000 of a severity
}

// Path scans the file or the directory called name: every regular file, by
// content, hidden ones too. Symbolic links are not followed. An error says
// that nothing could be looked at, or that ctx ended; trouble with a file is a
// finding of that file.
//
// The 100 MiB of a file were measured of whole processes with Go's collector as
// it is by default; with debug.SetGCPercent(25), as the command has it, the
// same files take a quarter less, and many at a time little more.
func Path(ctx context.Context, fsys fs.FS, name string, opts Options) (*Report, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	r := &Report{Verdict: Clean}
	s := &scanner{fsys: fsys, opts: &opts, shares: newShares()}
	if info.IsDir() {
		if err := s.walk(ctx, name); err != nil {
			return nil, err
		}
	} else {
		s.files = []File{{Path: name, Size: info.Size()}}
	}
	for _, f := range s.files {
		s.total += f.Size
	}
	if len(s.files) > 1 {
		s.room = make(room, 1)
	}
	s.run(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if info.IsDir() {
		s.repository(ctx)
	} else {
		s.indexAlone(&s.files[0])
	}
	if opts.Deep {
		s.values(ctx)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.linked()
	r.Files = s.files
	for i := range r.Files {
		f := &r.Files[i]
		order(f.Findings)
		f.Verdict = verdict(f.Findings)
		r.Verdict = worse(r.Verdict, f.Verdict)
	}
	if len(r.Files) == 0 {
		r.Verdict = VerdictError
	}
	return r, nil
}

// Reader scans one file wherever r leads. The name is what findings call it.
func Reader(ctx context.Context, r io.ReaderAt, size int64, name string, opts Options) (File, error) {
	f := File{Path: name, Size: size}
	f.scan(ctx, r, &opts, nil)
	order(f.Findings)
	f.Verdict = verdict(f.Findings)
	return f, ctx.Err()
}

// A scanner is a scan of a place.
type scanner struct {
	fsys   fs.FS
	opts   *Options
	files  []File
	room   room
	shares *shares
	links  map[string]string // what links name, from the place that is scanned

	compared int64 // bytes of headers that were read to compare them with indexes

	counting    sync.Mutex
	done, total int64      // bytes, for Options.Progress
	outside     []external // what models keep in other files
}

// walk lists the files of a directory.
func (s *scanner) walk(ctx context.Context, name string) error {
	err := fs.WalkDir(s.fsys, name, func(p string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err != nil:
			s.files = append(s.files, File{Path: p, Findings: []Finding{trouble(p, err)}})
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
		case d.IsDir() && d.Name() == ".git" && p != name:
			// Every clone has one, full of scripts that are samples and packs
			// that are nothing else: judged, it would make all of them fail.
			s.files = append(s.files, File{Path: p, Format: "git", Findings: []Finding{{ID: "ST512", Severity: Note, File: p, Offset: -1, Message: "Git's own directory was not looked into"}}})
			return fs.SkipDir
		case d.IsDir():
		case d.Type()&fs.ModeSymlink != 0:
			s.link(name, p)
		case !d.Type().IsRegular():
			s.files = append(s.files, File{Path: p, Findings: []Finding{{ID: "ST511", Severity: Suspicious, File: p, Offset: -1, Message: "it is " + special(d.Type())}}})
		default:
			f := File{Path: p}
			if s.opts.Progress != nil {
				if info, err := d.Info(); err == nil {
					f.Size = info.Size() // and again once it is open
				}
			}
			s.files = append(s.files, f)
		}
		return nil
	})
	slices.SortFunc(s.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return err
}

// run scans the files that were listed.
func (s *scanner) run(ctx context.Context) {
	jobs := s.opts.Jobs
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	var next sync.Mutex
	i := 0
	var group sync.WaitGroup
	for range min(jobs, len(s.files)) {
		group.Go(func() {
			for ctx.Err() == nil {
				next.Lock()
				n := i
				i++
				next.Unlock()
				if n >= len(s.files) {
					return
				}
				size := s.files[n].Size
				s.file(ctx, &s.files[n])
				s.step(size)
			}
		})
	}
	group.Wait()
}

// step tells that n more bytes were dealt with.
func (s *scanner) step(n int64) {
	if s.opts.Progress == nil {
		return
	}
	s.counting.Lock()
	defer s.counting.Unlock()
	s.done += n
	s.opts.Progress(s.done, max(s.total, s.done))
}

// file opens and scans one file.
func (s *scanner) file(ctx context.Context, f *File) {
	if f.Format == "link" || len(f.Findings) > 0 {
		return // no file
	}
	open, err := s.fsys.Open(f.Path)
	if err != nil {
		f.Findings = []Finding{trouble(f.Path, err)}
		return
	}
	defer open.Close()
	info, err := open.Stat()
	if err != nil || !info.Mode().IsRegular() {
		if err == nil {
			err = errors.New("no regular file any more")
		}
		f.Findings = []Finding{trouble(f.Path, err)}
		return
	}
	f.Size = info.Size()
	defer s.shares.take(f.Size)()
	r, ok := open.(io.ReaderAt)
	if !ok {
		data, err := io.ReadAll(io.LimitReader(open, 1<<30))
		if err != nil {
			f.Findings = []Finding{trouble(f.Path, err)}
			return
		}
		r, f.Size = strings.NewReader(string(data)), int64(len(data))
	}
	names, parts := f.scan(ctx, r, s.opts, s.room)
	if len(parts) > 0 {
		s.counting.Lock()
		s.outside = append(s.outside, parts[:min(len(parts), max(maxExternal-len(s.outside), 0))]...)
		s.counting.Unlock()
	}
	for _, name := range names {
		if _, err := fs.Stat(s.fsys, path.Join(path.Dir(f.Path), name)); err != nil {
			f.add("ST375", -1, name, fmt.Sprintf("asks for %+q, which is not there", clip(name, 80)))
		}
	}
}

// scan reads the file. It returns the names of files beside it that it asks
// for, and the parts of them that its tensors are in.
func (f *File) scan(ctx context.Context, r io.ReaderAt, opts *Options, shared room) ([]string, []external) {
	t := newTrace(ctx, opts, f.Size)
	t.spent.room = shared
	defer t.leave()
	f.Format = t.content(blob{&ahead{r: r}, 0, f.Size}, place{file: f.Path, name: path.Base(f.Path)})
	t.kept = [4]int{} // what is not read is told, however much was found
	if t.spent.again < 0 {
		t.note("ST404", place{file: f.Path}, -1, "again", "what is unpacked is read back and forth more often than a scan unpacks it")
	}
	if t.spent.work < 0 {
		t.note("ST404", place{file: f.Path}, -1, "work", "what lies in it takes longer than a scan does: the rest was not read")
	}
	f.Findings, f.Dropped = t.findings, t.dropped
	return t.spent.needs, t.spent.parts
}
