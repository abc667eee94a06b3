module github.com/tensmith/tensmith/bench

go 1.26.0

replace github.com/tensmith/tensmith => ../

require (
	github.com/nlpodyssey/safetensors v0.0.0-20250209183917-bfb01cc25f7c
	github.com/tensmith/tensmith v0.0.0-00010101000000-000000000000
	golang.org/x/sys v0.49.0 // numeric: whether the processor has AVX2
)
