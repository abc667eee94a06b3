package pickle_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tensmith/tensmith/pickle"
)

func ExampleUnmarshal() {
	// What Python writes for {"lr": 0.5, "steps": [1, 2]}.
	data := []byte("\x80\x04}(\x8c\x02lrG\x3f\xe0\x00\x00\x00\x00\x00\x00\x8c\x05steps](K\x01K\x02eu.")
	v, err := pickle.Unmarshal(data)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range v.(*pickle.Dict).Pairs {
		switch x := p.Value.(type) {
		case float64:
			fmt.Println(p.Key, "is", x)
		case *pickle.List:
			fmt.Println(p.Key, "has", len(x.Items), "items")
		}
	}
	// Output:
	// lr is 0.5
	// steps has 2 items
}

// The events tell what a file would do, even if it breaks off after that.
func ExampleDecoder_events() {
	data := []byte("cos\nsystem\n(S'echo hello'\ntR\xff")
	d := pickle.NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
	var log pickle.Log
	d.OnEvent = log.Add
	_, err := d.Decode()
	for _, e := range log.Events {
		switch v := e.Value.(type) {
		case *pickle.Symbol:
			fmt.Printf("byte %d: imports %v\n", e.Offset, v)
		case *pickle.Object:
			fmt.Printf("byte %d: calls %v with %q\n", e.Offset, v.Symbol(), v.ArgList())
		}
	}
	fmt.Println(err, errors.Is(err, pickle.ErrMalformed))
	// Output:
	// byte 0: imports os.system
	// byte 27: calls os.system with ["echo hello"]
	// byte 28: malformed pickle: no opcode 0xff true
}

// A file of torch before 1.6 is a row of pickles, and then raw bytes.
func ExampleDecoder_Offset() {
	file := []byte("\x80\x02K\x01.\x80\x02]K\x02a.raw")
	d := pickle.NewDecoder(bytes.NewReader(file), 0, int64(len(file)))
	for range 2 {
		if _, err := d.Decode(); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Printf("%s\n", file[d.Offset():])
	// Output: raw
}

// The values of a state_dict are calls that rebuild tensors.
func ExampleObject() {
	data := []byte("\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n" +
		"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ" +
		"K\x00K\x02K\x03\x86K\x03K\x01\x86tRu.")
	v, err := pickle.Unmarshal(data)
	if err != nil {
		fmt.Println(err)
		return
	}
	root := v.(*pickle.Object)
	if !root.Symbol().Is("collections", "OrderedDict") {
		return
	}
	for _, p := range root.Pairs() {
		name, _ := pickle.Text(p.Key)
		tensor := p.Value.(*pickle.Object)
		args := tensor.ArgList()
		id := args[0].(*pickle.Persistent).ID.(*pickle.Tuple).Items
		fmt.Println(name, tensor.Symbol(), id[1], id[2], args[2].(*pickle.Tuple).Items)
	}
	// Output: w torch._utils._rebuild_tensor_v2 torch.FloatStorage 0 [2 3]
}

func ExampleDump() {
	data := []byte("\x80\x02]q\x00(K\x01K\x02e.K\x03.\x00junk")
	err := pickle.Dump(os.Stdout, bytes.NewReader(data), 0, int64(len(data)), pickle.Limits{})
	fmt.Println(err)
	// Output:
	//     0: \x80 PROTO      2
	//     2: ]    EMPTY_LIST
	//     3: q    BINPUT     0
	//     5: (    MARK
	//     6: K        BININT1    1
	//     8: K        BININT1    2
	//    10: e        APPENDS    (MARK at 5)
	//    11: .    STOP
	// highest protocol among opcodes = 2
	// pickle 2 at byte 12
	//    12: K    BININT1    3
	//    14: .    STOP
	// highest protocol among opcodes = 1
	//    15: 5 bytes not read: byte 15: malformed pickle: no opcode 0x00
	// <nil>
}

func ExampleDisassemble() {
	data := []byte("cos\nsystem\n.")
	for in, err := range pickle.Disassemble(bytes.NewReader(data), 0, int64(len(data)), pickle.Limits{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(in.Offset, in)
	}
	// Output:
	// 0 GLOBAL 'os system'
	// 11 STOP
}

func ExampleWalk() {
	data := []byte("]q\x00(h\x00cos\nsystem\nK\x01e.") // a list that holds itself
	v, _ := pickle.Unmarshal(data)
	pickle.Walk(v, nil, func(v pickle.Value) bool {
		fmt.Printf("%T\n", v)
		return true
	})
	// Output:
	// *pickle.List
	// *pickle.Symbol
	// int64
}

// joblib puts the bytes of an array between the opcodes, behind the BUILD of
// a wrapper. The caller knows how long it is.
func ExampleDecoder_rawAfterBuild() {
	data := []byte("cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}X\x04\x00\x00\x00sizeK\x04sbDATA.")
	r := bytes.NewReader(data)
	d := pickle.NewDecoder(r, 0, int64(len(data)))
	d.RawAfterBuild = func(obj *pickle.Object, offset int64) (int64, error) {
		state, ok := obj.States()[0].(*pickle.Dict)
		if !obj.Symbol().Is("joblib.numpy_pickle", "NumpyArrayWrapper") || !ok {
			return 0, nil
		}
		size, _ := state.Get("size")
		n, _ := size.(int64)
		return n, nil
	}
	v, err := d.Decode()
	if err != nil {
		fmt.Println(err)
		return
	}
	offset, length := v.(*pickle.Object).Raw()
	raw, _ := io.ReadAll(io.NewSectionReader(r, offset, length))
	fmt.Printf("%s\n", raw)
	// Output: DATA
}
