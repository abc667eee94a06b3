//go:build (!amd64 && !arm64) || purego

package numeric

import "github.com/tensmith/tensmith/safetensors"

// Without kernels the plain loops do all the work. Each of these returns how
// many numbers it has dealt with.

func (l *lanes) kernelBytes(safetensors.DType, []byte) int { return 0 }

// These are a kernel's.
type (
	codeTables struct{}
	closeness  struct{}
)

func (c *counter) addCodes([]byte) int { return 0 }

func (l *wideLanes) kernelBytes(safetensors.DType, []byte) int { return 0 }

func (p *pairs) kernelBytes(d, e safetensors.DType, a, b []byte) int { return 0 }
func (p *pairs) kernelClose(w *differ, a, b []byte) int              { return 0 }
func (p *pairs) kernel(a, b []float32) int                           { return 0 }
func (p *pairs) kernelWide(a, b []float64) int                       { return 0 }
func (p *pairs) loss(d safetensors.DType, a, b []byte) int           { return 0 }
func (p *pairs) lossFloats(a []byte, b []float32) int                { return 0 }

func encodeKernel([]byte, safetensors.DType, []float32, Overflow) int { return 0 }
func encodeKernelBytes([]byte, safetensors.DType, []byte, Overflow, bool) (done int, over bool) {
	return 0, false
}
func decodeKernel([]float32, safetensors.DType, []byte) int         { return 0 }
func decodeKernelBytes([]byte, safetensors.DType, []byte, bool) int { return 0 }
func encodeHalvesKernel([]byte, safetensors.DType, safetensors.DType, []byte, Overflow, bool) (done int, over bool) {
	return 0, false
}
func halvesKernel([]byte, safetensors.DType, safetensors.DType, []byte, bool) int { return 0 }

func beyondBytes([]byte, uint32) (count uint64, seen int)     { return 0, 0 }
func beyondKernel([]float32, uint32) (count uint64, seen int) { return 0, 0 }
