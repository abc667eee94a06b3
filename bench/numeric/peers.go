package main

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A peer is a Python process that holds the numbers and does one case a line.
type peer struct {
	who string
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startPeer(python, who, raw string, threads int) (*peer, error) {
	cmd := exec.Command(python, "-c", peerScript, who, raw, strconv.Itoa(threads))
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &peer{who, cmd, in, bufio.NewScanner(out)}, nil
}

func (p *peer) stop() {
	p.in.Close()
	p.cmd.Wait()
}

func (p *peer) do(what string) (time.Duration, error) {
	if _, err := fmt.Fprintln(p.in, what); err != nil {
		return 0, fmt.Errorf("%s ended", p.who)
	}
	if !p.out.Scan() {
		return 0, fmt.Errorf("%s ended", p.who)
	}
	ns, err := strconv.ParseInt(p.out.Text(), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s", p.out.Text())
	}
	return time.Duration(ns), nil
}

// cases are those of ours that a peer may have.
func (p *peer) cases(all []*benchCase) (cases []*benchCase) {
	for _, c := range all {
		if c.who != ours {
			continue
		}
		names := []string{p.who}
		if strings.HasPrefix(c.what, "statistics") {
			names = append(names, p.who+", least, greatest and mean alone")
		}
		for _, who := range slices.Clip(names) {
			request := c.what
			if who != p.who {
				request = "some " + request
			}
			cases = append(cases, &benchCase{what: c.what, who: who, bytes: c.bytes,
				run: func() (time.Duration, error) { return p.do(request) }})
		}
	}
	return cases
}

// peerScript does what numeric does with what the peer offers, results into
// memory that is there already. Where there is no operation on a type, numbers
// are widened in pieces that fit a cache. Numpy has no threads of its own: it
// is given parts of the numbers in as many of Python's.
const peerScript = `
import sys, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import ml_dtypes

who, raw, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
PIECE = 1 << 18
x = np.fromfile(raw, np.float32)
WORDS = {"F32": "int32", "BF16": "int16", "F8_E4M3": "uint8"}
others = {}

if who == "torch":
    import torch
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    x = torch.from_numpy(x)
    TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}
    data = {name: x.to(t) for name, t in TYPES.items()}
    out = {name: torch.zeros_like(v) for name, v in data.items()}

    def cast(a, b):
        out[b].copy_(data[a])

    def whole(v):
        low, high = torch.aminmax(v)
        return (low, high, v.mean(), v.std(), torch.linalg.vector_norm(v), torch.count_nonzero(v), torch.isnan(v).sum(), torch.isinf(v).sum())

    def some(v):
        low, high = torch.aminmax(v)
        return low, high, v.mean()

    def stats(name, of):
        v = data[name]
        if name == "F32":
            return of(v)
        return [of(p.float()) for p in v.split(PIECE)]

    def copied(v, word, every):
        other = v.clone()
        if every:
            other.view(getattr(torch, word))[::every] ^= 1
        return other

    def summed(x, y):
        d = x - y
        a = d.abs()
        return (torch.count_nonzero(d), a.max(), torch.linalg.vector_norm(d), torch.dot(x, y), torch.linalg.vector_norm(x),
            torch.linalg.vector_norm(y), (a > 1e-8 + 1e-5 * y.abs()).sum(), (a / torch.maximum(x.abs(), y.abs())).nan_to_num_(0).max())

    def compare(name, v, w):
        if name == "F32":
            return summed(v, w)
        return [summed(p.float(), q.float()) for p, q in zip(v.split(PIECE), w.split(PIECE))]
else:
    TYPES = {"F32": np.float32, "BF16": ml_dtypes.bfloat16, "F16": np.float16, "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2}
    data = {name: x.astype(t) for name, t in TYPES.items()}
    out = {name: np.zeros_like(v) for name, v in data.items()}
    pool = ThreadPoolExecutor(threads)

    def parts(f):
        n = len(x) // threads
        return list(pool.map(lambda i: f(slice(i * n, len(x) if i == threads - 1 else (i + 1) * n)), range(threads)))

    def cast(a, b):
        parts(lambda s: np.copyto(out[b][s], data[a][s], casting="unsafe"))

    def whole(v):
        return (v.min(), v.max(), v.mean(), v.std(), np.linalg.norm(v), np.count_nonzero(v), np.isnan(v).sum(), np.isinf(v).sum())

    def some(v):
        return v.min(), v.max(), v.mean()

    def stats(name, of):
        def part(s):
            v = data[name][s]
            return [of(v[i:i + PIECE].astype(np.float32, copy=False)) for i in range(0, len(v), PIECE)]
        parts(part)

    def copied(v, word, every):
        other = v.copy()
        if every:
            other.view(word)[::every] ^= 1
        return other

    def compare(name, v, w):
        def part(s):
            for i in range(s.start, s.stop, PIECE):
                a, b = (u[i:min(i + PIECE, s.stop)].astype(np.float32, copy=False) for u in (v, w))
                d = a - b
                m = np.abs(d)
                with np.errstate(invalid="ignore"):
                    (np.count_nonzero(d), m.max(), np.dot(d, d), np.dot(a, b), np.dot(a, a), np.dot(b, b),
                        (m > 1e-8 + 1e-5 * np.abs(b)).sum(), np.nan_to_num(m / np.maximum(np.abs(a), np.abs(b))).max())
        parts(part)

for line in sys.stdin:
    words = line.split()
    light = words[0] == "some"
    if light:
        words = words[1:]
    try:
        if words[0] == "compare":
            name, kind = words[1], words[4]
            if (name, kind) not in others:
                others[name, kind] = copied(data[name], WORDS[name], {"1": 128, "all": 1, "the": 0}[kind])
        start = time.perf_counter_ns()
        if words[0] == "cast":
            cast(words[1], words[3])
        elif words[0] == "statistics":
            stats(words[2], some if light else whole)
        elif words[0] == "compare":
            compare(name, data[name], others[name, kind])
        else:
            raise NotImplementedError(line)
        print(time.perf_counter_ns() - start, flush=True)
    except Exception as e:
        print(type(e).__name__ + ": " + str(e).split("\n")[0], flush=True)
`
