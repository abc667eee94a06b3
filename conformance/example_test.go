package conformance_test

import (
	"fmt"

	"github.com/tensmith/tensmith/conformance"
)

// A reader in the same process is called with the bytes of every vector.
func ExampleVectors() {
	accepts := func(file []byte) bool { return len(file) >= 8 } // a poor reader
	for v := range conformance.Vectors() {
		if v.Class == "header-too-small" && accepts(v.Bytes()) != v.Accept {
			fmt.Println("wrong about", v.Name)
		}
		if v.Name == "f4-3x2" {
			fmt.Println(v.Why, v.Accept, accepts(v.Bytes()), v.Tensors[0].DType, v.Tensors[0].Shape)
		}
	}
	// Output: 24 bits true true F4 [3 2]
}

func ExampleWords() {
	args, err := conformance.Words(`sh -c 'my-reader "$0" >/dev/null' {}`)
	fmt.Printf("%q %v\n", args, err)
	// Output: ["sh" "-c" "my-reader \"$0\" >/dev/null" "{}"] <nil>
}
