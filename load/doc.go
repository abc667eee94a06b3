// Package load brings tensors into memory, as fast as the machine can.
//
// A [Loader] is asked for tensors, of one file or of all shards of a model,
// and gives each as soon as it is there. An [Arena] is the memory that they
// are in:
//
//	model, err := safetensors.OpenCheckpoint("model/")
//	if err != nil {
//		return err
//	}
//	defer model.Close()
//
//	var memory load.Arena
//	defer memory.Free()
//	loader := load.Loader{Arena: &memory}
//	for t, err := range loader.Load(ctx, load.Tensors(model.All())) {
//		if err != nil {
//			return err
//		}
//		data, err := t.Bytes()
//		…
//	}
//
// A Loader with a Budget is for tensors that only pass through, to a GPU for
// one: it takes no more memory than that. A [Request] can be for a slice, and
// can name the memory that its bytes are to go to.
//
// # What is read
//
// Requests are sorted by file and offset. Those that lie side by side are read
// as one; a gap between two of them is read over if it is less than a page, or
// if it is less than 256 KiB and all such gaps are less than a twentieth of
// what is needed. Reads are of 2 MiB at most, each into one huge page where an
// Arena has them, and several workers make them. A slice that is not one run of
// bytes is copied out of the map if its file is mapped and in the page cache,
// and else is read as [safetensors.Slice] reads it: that takes two to three
// times as long.
//
// Bytes in an Arena begin at the offset modulo 4096 that they have in the
// file, as they do in a map: a file whose tensors are aligned, see
// [safetensors.Encoder], is aligned in memory too.
//
// # The way
//
// What is fastest depends on the file system, on what is in the page cache,
// and on how much memory there is. [Auto] decides, file by file:
//
//   - A file on a network file system, one of FUSE, or one of a kind that it
//     does not know, is read ([Read]), by many workers. It is never mapped.
//   - A local file that may be mapped is mapped (Populate), unless it is hardly in
//     the page cache and too large to be there beside the tensors without pushing
//     out what is: then Map serves it however large it is, or Direct within a
//     Budget.
//   - Any other local file is read: what of it is in the page cache from there
//     (Read), and what is not past it (Direct), in blocks of 2 MiB. A load of less
//     than 8 MiB is not worth the questions and comes by Read.
//
// Direct costs a disk's time and little else: no copy, no second gigabyte for
// each that is loaded, nothing of other programs' that is pushed out. But it
// leaves nothing behind. A server that is started again and again on a machine
// with memory for its model twice, or several processes that load the same one,
// are better off with MayMap, or with Read, which take little longer the first
// time and a small part of it from then on.
//
// What the page cache has is counted by cachestat(2), which kernels before 6.5 do
// not have, which is refused of files of other users, and which finds nothing
// on overlayfs. Then samples are taken: by mincore(2), and by reads that do not
// wait. A file of which nothing is to be learned is read.
//
// How much memory there is is what /proc/meminfo says is available, or less if
// a cgroup allows less. Tensors of a file that [safetensors.Map] has opened are
// handed out of that map if Auto may map, or the Way is Map or Populate; to any
// other Way it is data to be copied. Each way can be forced. What the system refuses, such
// as direct reads, huge pages or maps, becomes the plain way without an error,
// and [Tensor] says which way it came.
//
// On systems other than Linux there is one way, Read, and the memory of an
// Arena is Go's.
//
// # Security
//
// What is read is bounded by what the caller asked for: sizes come from headers
// that package safetensors has checked against the file, and a size that
// disagrees with a tensor's dtype and shape is refused before anything is
// allocated. Memory is the sum of the tensors, or the Budget. A sum that an
// Arena cannot have is an error; without an Arena the memory is Go's, which ends
// the program when there is no more, and a sparse file of a TiB takes no disk: a
// server that loads files of others sets an Arena or looks at the sum first. A
// file that shrinks or fails while it is read gives an error.
//
// A map is another matter. If its file is truncated while it is mapped, or the
// disk or the server behind it fails, touching the bytes that are gone is a
// fault, which ends the program. A goroutine that has called
// [runtime/debug.SetPanicOnFault] gets a panic instead, and can recover from
// it; that is a choice for a tool that reads bytes once, in its own
// goroutine, and none for a server, whose bytes are touched by libraries, by
// kernels of a GPU and by system calls that it does not know of. This package
// looks at the size of a file before it maps it, reading ahead notices what is
// missing by then, and copying out of a map is an error then, but nothing can promise the time after. So nothing
// is mapped unless it is asked for: by [Loader].MayMap or by the Way. And who
// may write to a file may change the bytes of a map of it, [Private] or not,
// after they were checked; bytes that were read are the program's own.
//
// Memory of an Arena is not the collector's. [Tensor.Bytes] returns an error
// once it was given back, but a slice that was taken before points to memory
// that is gone or another tensor's.
package load
