//go:build !unix

package bench

import (
	"os"
	"time"
)

func cpuTime() time.Duration { return -1 }

func familyTime() time.Duration { return -1 }

func mapFile(*os.File) ([]byte, error) { return nil, Absent("not measured on this system") }

func unmap([]byte) {}
