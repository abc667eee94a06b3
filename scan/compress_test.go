package scan

import (
	"bytes"
	"context"
	"encoding/base64"
	"runtime"
	"testing"
)

// TestWindow holds that an .xz file which asks for a window of 1.5 GiB gets none of
// it. The files are 64 bytes of x as Python's lzma writes them, the second with the
// dictionary's size in the header raised and its CRC32 made anew.
func TestWindow(t *testing.T) {
	for name, text := range map[string]string{
		"64 MiB":  "/Td6WFoAAATm1rRGAgAhARwAAAAQz1jM4AA/AAZdADxuVgAAAAAAAMNB0X4bOEkwAAEiQJuy6PEftvN9AQAAAAAEWVo=",
		"1.5 GiB": "/Td6WFoAAATm1rRGAgAhASUAAAA7eHtB4AA/AAZdADxuVgAAAAAAAMNB0X4bOEkwAAEiQJuy6PEftvN9AQAAAAAEWVo=",
	} {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := Reader(context.Background(), bytes.NewReader(data), int64(len(data)), "model.pkl.xz", Options{})
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Findings) != 1 || f.Findings[0].ID != "ST404" || f.Verdict != VerdictSuspicious {
			t.Errorf("%s: %+v, want a bound that was met", name, f)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
			t.Errorf("%s: allocates %d bytes", name, took)
		}
	}
}
