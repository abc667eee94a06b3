package sign_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tensmith/tensmith/sign"
)

// BenchmarkHash hashes the folder that TENSMITH_OMS_MODEL names, or 32 files of
// 4 MiB. Beside it, of the same folder:
//
//	find DIR -type f -print0 | xargs -0 -P 2 -n 1 sha256sum
//	model_signing sign key --private_key KEY --signature SIG DIR
func BenchmarkHash(b *testing.B) {
	dir := os.Getenv("TENSMITH_OMS_MODEL")
	if dir == "" {
		dir = b.TempDir()
		data := make([]byte, 4<<20)
		for i := range 32 {
			data[0] = byte(i)
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), data, 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	for name, h := range map[string]sign.Hasher{
		"sha256":        {},
		"sha256-alone":  {Workers: 1},
		"sha256-shards": {ShardSize: 50_000_000},
		"blake2b":       {Algorithm: sign.BLAKE2b},
		"blake3":        {Algorithm: sign.BLAKE3},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				made, err := h.Hash(b.Context(), dir)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(made.Bytes)
			}
		})
	}
}
