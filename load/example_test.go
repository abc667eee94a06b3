package load_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/tensmith/tensmith/load"
	"github.com/tensmith/tensmith/safetensors"
)

// A device stands for what weights are brought to, such as a GPU.
type device struct {
	mu      sync.Mutex
	weights map[string][]byte
}

func (d *device) upload(name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.weights[name] = append([]byte(nil), data...)
}

// An inference server loads a sharded model. Its tensors stay in an Arena of
// the model's, which is freed when the model is unloaded.
func Example() {
	model, err := safetensors.OpenCheckpoint("../safetensors/testdata/real/sharded")
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()

	var memory load.Arena
	defer memory.Free()
	loaded := 0 // percent
	loader := load.Loader{
		Arena:    &memory,
		Progress: func(done, total int64) { loaded = int(100 * done / total) },
	}

	weights := map[string]*load.Tensor{}
	for t, err := range loader.Load(context.Background(), load.Tensors(model.All())) {
		if err != nil {
			log.Fatal(err)
		}
		weights[t.Name] = t // in memory; its layer could begin to work
	}

	fmt.Printf("%d tensors, %d %%\n", len(weights), loaded)
	head := weights["lm_head.weight"]
	data, err := head.Bytes()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(head.DType, head.Shape, len(data), "bytes")
	// Output:
	// 30 tensors, 100 %
	// BF16 [16 8] 256 bytes
}

// Tensors that only pass through memory, on their way to a GPU, take no more
// than a Budget, however large the model is.
func ExampleLoader_budget() {
	model, err := safetensors.OpenCheckpoint("../safetensors/testdata/real/sharded")
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()

	var memory load.Arena
	defer memory.Free()
	gpu := device{weights: map[string][]byte{}}
	var uploads sync.WaitGroup
	loader := load.Loader{Arena: &memory, Budget: 1 << 20}
	for t, err := range loader.Load(context.Background(), load.Tensors(model.All())) {
		if err != nil {
			log.Fatal(err)
		}
		data, err := t.Bytes()
		if err != nil {
			log.Fatal(err)
		}
		t.Keep() // beyond this step of the loop
		uploads.Go(func() {
			gpu.upload(t.Name, data)
			t.Release()
		})
	}
	uploads.Wait()
	fmt.Println(len(gpu.weights), "tensors;", memory.Held() <= 2<<20)
	// Output: 30 tensors; true
}

// Each of two GPUs takes its half of a matrix, and reads no more than that.
func ExampleRequest() {
	model, err := safetensors.OpenCheckpoint("../safetensors/testdata/real/sharded")
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	head, err := model.Tensor("lm_head.weight")
	if err != nil {
		log.Fatal(err)
	}
	rows := head.Shape[0]
	var halves []load.Request
	for rank := range uint64(2) {
		half, err := head.Slice(safetensors.Span(rank*rows/2, (rank+1)*rows/2))
		if err != nil {
			log.Fatal(err)
		}
		halves = append(halves, load.Request{Info: half.Info, Data: half, Into: make([]byte, half.Size())})
	}
	for t, err := range new(load.Loader).Load(context.Background(), halves) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(t.Name, t.Shape, "for GPU", t.Request)
	}
	// Unordered output:
	// lm_head.weight [8 8] for GPU 0
	// lm_head.weight [8 8] for GPU 1
}
