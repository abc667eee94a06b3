//go:build unix

package sign_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tensmith/tensmith/sign"
)

// TestPipeMeanwhile puts a pipe in the place of a file that was listed. Opening
// it must not wait for a writer.
func TestPipeMeanwhile(t *testing.T) {
	for _, links := range []sign.Links{sign.RefuseLinks, sign.FollowLinks} {
		dir := t.TempDir()
		write(t, dir, map[string]string{"a": "a"})
		h := sign.Hasher{Links: links, Known: []sign.Known{func(p sign.Piece) (string, string) {
			name := filepath.Join(dir, "a")
			if err := os.Remove(name); err != nil {
				t.Error(err)
			}
			if err := syscall.Mkfifo(name, 0o600); err != nil {
				t.Error(err)
			}
			return "", ""
		}}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		ended := make(chan error, 1)
		go func() {
			_, err := h.Hash(ctx, dir)
			ended <- err
		}()
		select {
		case err := <-ended:
			if err == nil || !strings.Contains(err.Error(), "it was replaced") {
				t.Errorf("links %d: %v", links, err)
			}
		case <-ctx.Done():
			t.Fatalf("links %d: it waits", links)
		}
	}
}
