package main

import (
	"strconv"
	"strings"
)

// size returns a number of bytes for people. The exact number is in JSON.
func size(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n), -1
	for f >= 999.5 {
		f /= 1000
		unit++
	}
	return strconv.FormatFloat(f, 'g', 3, 64) + " " + units[unit:unit+1] + "B"
}

// count returns a number of things for people, such as "7.24 B".
func count(n uint64) string {
	if n < 10_000 {
		return strconv.FormatUint(n, 10)
	}
	f := float64(n)
	for _, unit := range []string{" k", " M", " B", " T"} {
		if f /= 1000; f < 999.5 || unit == " T" {
			return strconv.FormatFloat(f, 'f', max(0, 2-int(digits(f)-1)), 64) + unit
		}
	}
	return ""
}

func digits(f float64) int { return len(strconv.FormatInt(int64(f), 10)) }

// group returns n with its digits in groups of three.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural returns "1 tensor", "2 tensors".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return group(int64(n)) + " " + thing + "s"
}

// shape returns a shape as programs print it, such as [4096,11008].
func shape(dims []uint64) string {
	b := []byte{'['}
	for i, n := range dims {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, n, 10)
	}
	return string(append(b, ']'))
}

// parseSize reads a number of bytes such as 500, 5GB or 2MiB.
func parseSize(s string) (int64, error) {
	units := map[string]float64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
	i := strings.LastIndexAny(s, "0123456789.") + 1
	n, err := strconv.ParseFloat(s[:i], 64)
	unit, ok := units[strings.ToUpper(strings.TrimSpace(s[i:]))]
	if n *= unit; err != nil || !ok || !(n >= 1) || n >= 1<<62 {
		return 0, usagef("%q is no size; write 500MB, 5GB or 2GiB", s)
	}
	return int64(n), nil
}

// maxText is the length in bytes of the longest text that is read whole: that
// of a header, and so of what can become a part of one.
const maxText = 100_000_000
