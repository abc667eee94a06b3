package quant

import (
	"encoding/json"
	"strings"
)

// settings are what config.json says of the layout of packed weights, and
// tensors do not.
type settings struct {
	method   string // quant_method
	format   string // checkpoint_format of GPTQ, version of AWQ
	linear   string // linear_class of BitNet
	bits     int64  // of compressed-tensors, if there is one width alone
	packed   string // format of compressed-tensors
	subtract bool   // GPTQ stores a zero point less one
}

// maxConfig is the size up to which a config is read.
const maxConfig = 16 << 20

// parseSettings takes what it can use of a config.
func parseSettings(text []byte) settings {
	s := settings{subtract: true}
	if len(text) > maxConfig {
		return s
	}
	type quantization struct {
		Method     string `json:"quant_method"`
		Checkpoint string `json:"checkpoint_format"`
		Version    string `json:"version"`
		Packing    string `json:"packing_format"`
		Linear     string `json:"linear_class"`
		Format     string `json:"format"`
		Groups     map[string]struct {
			Weights struct {
				Bits int64 `json:"num_bits"`
			} `json:"weights"`
		} `json:"config_groups"`
	}
	var config struct {
		Quantization quantization `json:"quantization_config"`
		Compression  quantization `json:"compression_config"`
		Text         struct {
			Quantization quantization `json:"quantization_config"`
		} `json:"text_config"`
	}
	// A field of another type than it should be is left as it is.
	_ = json.Unmarshal(text, &config)
	q := config.Quantization
	for _, other := range []quantization{config.Compression, config.Text.Quantization} {
		if q.Method == "" && q.Format == "" && q.Groups == nil {
			q = other
		}
	}
	s.method, s.format, s.linear, s.packed = q.Method, q.Checkpoint, q.Linear, q.Format
	if s.format == "" {
		s.format = q.Version
	}
	for _, g := range q.Groups {
		s.bits = g.Weights.Bits
	}
	if len(q.Groups) != 1 {
		s.bits = 0
	}
	s.subtract = s.format != "gptq_v2" && !autoRoundV2(q.Method, q.Packing)
	return s
}

// autoRoundV2 tells whether AutoRound has stored zero points as they are, as the
// second version of GPTQ's format has them. What it calls auto_round:auto_gptq,
// its default, and auto_round:gptq is the first.
func autoRoundV2(method, packing string) bool {
	if !strings.Contains(method, "auto-round") || !strings.HasPrefix(packing, "auto_round") {
		return false
	}
	return strings.Contains(packing, "gptqmodel") || !strings.Contains(packing, "gptq") && !strings.Contains(packing, "awq")
}
