package quant

import "encoding/json"

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
	}
	// A field of another type than it should be is left as it is.
	_ = json.Unmarshal(text, &config)
	q := config.Quantization
	if q.Method == "" && q.Format == "" && q.Groups == nil {
		q = config.Compression
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
	s.subtract = s.format != "gptq_v2"
	return s
}
