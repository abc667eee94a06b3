package safetensors

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestOffsetText(t *testing.T) {
	numbers := []int64{0, 1, 9, 10, 99, 100, 9_999, 10_000, 99_999_999, 100_000_000, 9_999_999_999_999_999, 10_000_000_000_000_000, math.MaxInt64}
	for power := int64(1); power < math.MaxInt64/10; power *= 10 {
		numbers = append(numbers, power-1, power, power+1, 5*power)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		numbers = append(numbers, rng.Int64()>>rng.IntN(63))
	}
	for _, n := range numbers {
		var b [24]byte
		d := offsetTextOf(n)
		if got, want := string(b[:d.put(b[:])]), strconv.FormatInt(n, 10); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}
