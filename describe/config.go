package describe

import (
	"encoding/json"
	"strconv"
	"strings"
)

// maxConfig is the size up to which a config is read. The largest seen, with a
// list of every module, have about one MiB.
const maxConfig = 16 << 20

// A config is what a config.json says that names and shapes do not.
type config struct {
	class   string // architectures[0] or _class_name
	field   string // which of them
	model   string // model_type
	base    string // base_model_name_or_path, of an adapter
	adapter string // peft_type
	layers  int
	method  string // quant_method
	bits    int
	block   [2]uint64         // weight_block_size
	group   uint64            // group_size
	groupOf map[string]uint64 // group_size of a module, where it has its own
}

type quantization struct {
	Method string          `json:"quant_method"`
	Bits   json.RawMessage `json:"bits"`
	WBits  json.RawMessage `json:"w_bit"`
	Group  json.RawMessage `json:"group_size"`
	Block  json.RawMessage `json:"weight_block_size"`
	Groups json.RawMessage `json:"config_groups"`
}

// parseConfig takes what it can use and passes over what is of another type
// than it should be.
func parseConfig(text []byte) (c config) {
	var fields map[string]json.RawMessage
	if len(text) > maxConfig || json.Unmarshal(text, &fields) != nil {
		return config{}
	}
	str := func(name string) (s string) {
		json.Unmarshal(fields[name], &s)
		return printable(s)
	}
	var classes []string
	json.Unmarshal(fields["architectures"], &classes)
	if len(classes) > 0 {
		c.class, c.field = printable(classes[0]), "architectures"
	} else if c.class = str("_class_name"); c.class != "" {
		c.field = "_class_name"
	}
	c.model = str("model_type")
	c.base = str("base_model_name_or_path")
	c.adapter = str("peft_type")

	inner := map[string]json.RawMessage{}
	json.Unmarshal(fields["text_config"], &inner)
	for _, at := range []map[string]json.RawMessage{fields, inner} {
		for _, name := range []string{"num_hidden_layers", "n_layer", "num_layers", "n_layers"} {
			if n := number(at[name]); c.layers == 0 && n > 0 && n < 1<<20 {
				c.layers = int(n)
			}
		}
	}
	for _, name := range []string{"quantization_config", "compression_config", "quantization"} {
		if raw, ok := fields[name]; ok {
			c.quantization(raw)
			return c
		}
	}
	if raw, ok := inner["quantization_config"]; ok {
		c.quantization(raw)
	}
	return c
}

func (c *config) quantization(raw json.RawMessage) {
	var q quantization
	json.Unmarshal(raw, &q) // fills the fields whose types are right
	c.method = printable(q.Method)
	n := number(q.Bits)
	if n == 0 {
		n = number(q.WBits)
	}
	var groups map[string]struct {
		Weights struct {
			Bits  json.RawMessage `json:"num_bits"`
			Group json.RawMessage `json:"group_size"`
		} `json:"weights"`
	}
	json.Unmarshal(q.Groups, &groups)
	for _, g := range groups {
		if b := number(g.Weights.Bits); n == 0 || len(groups) == 1 && b > 0 {
			n = b
		}
	}
	if len(groups) > 1 {
		n = 0 // shapes tell which
	}
	if n <= 64 {
		c.bits = int(n)
	}
	c.group = number(q.Group)
	var block []uint64
	if json.Unmarshal(q.Block, &block) == nil && len(block) == 2 {
		c.block = [2]uint64(block)
	}
	// MLX names modules beside its settings.
	var modules map[string]json.RawMessage
	json.Unmarshal(raw, &modules)
	for name, raw := range modules {
		if !strings.Contains(name, ".") && name != "lm_head" {
			continue
		}
		var own struct {
			Group json.RawMessage `json:"group_size"`
		}
		if json.Unmarshal(raw, &own) == nil && number(own.Group) > 0 {
			if c.groupOf == nil {
				c.groupOf = map[string]uint64{}
			}
			c.groupOf[name] = number(own.Group)
		}
	}
}

// number reads a whole number, or 0.
func number(raw json.RawMessage) uint64 {
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// printable returns s if it can be shown on a line as it is, else nothing.
func printable(s string) string {
	if len(s) > 200 {
		return ""
	}
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return ""
		}
	}
	return s
}
