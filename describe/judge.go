package describe

import (
	"slices"
	"strconv"
	"strings"
)

// judge says what the groups are, and what they make together. What names tell
// goes first, for they are what a program loads by; then metadata, then config.
func (s *Summary) judge(groups []*group, metadata map[string]string, cfg config) {
	s.Architecture, s.Base = told(metadata, cfg)
	if groups[0].prefix != "" {
		s.pipeline(groups, cfg)
		return
	}
	g := groups[0]
	s.Kind, s.Evidence = "unknown", ""
	r, at := g.rule()
	switch {
	case r != nil:
		s.Kind, s.Evidence = r.kind, g.evidence(at)
		if s.Base == "" {
			s.Base = g.base(r)
		}
	case s.byMetadata(metadata):
	case cfg.adapter != "":
		s.Kind, s.Evidence = "adapter", "config peft_type"
	default:
		if kind := byClass(cfg.class); kind != "" {
			s.Kind, s.Evidence = kind, "config "+cfg.field
		}
	}
	if s.Base != "" && cfg.base == "" && (strings.Contains(s.Kind, "dapter") || s.Kind == "ControlNet" || s.Kind == "textual inversion") {
		s.Kind += " for " + s.Base
	}
	if s.Kind == full || s.Kind == checkpoint {
		s.Layers = 0 // of which of its models?
	}
	if s.Base != "" && (s.Kind == unet || s.Kind == denoiser) {
		s.Kind += " (" + s.Base + ")"
	}
}

// told returns what metadata and config call the architecture, and the base
// that they name.
func told(metadata map[string]string, cfg config) (architecture, base string) {
	for _, key := range []string{"modelspec.architecture", "ss_base_model_version"} {
		v := printable(metadata[key])
		if v == "" || v == "None" {
			continue
		}
		if architecture == "" {
			architecture = v
		}
		for _, b := range bases {
			if base == "" && strings.HasPrefix(strings.ToLower(v), b.prefix) {
				base = b.base
			}
		}
	}
	if cfg.class != "" {
		architecture = cfg.class
	}
	if cfg.base != "" {
		base = cfg.base
	}
	return architecture, base
}

// byMetadata goes by metadata alone.
func (s *Summary) byMetadata(metadata map[string]string) bool {
	architecture := metadata["modelspec.architecture"]
	_, part, _ := strings.Cut(architecture, "/")
	switch {
	case part == "lora":
		s.Kind, s.Evidence = lora, "metadata modelspec.architecture"
	case part == "textual-inversion":
		s.Kind, s.Evidence = "textual inversion", "metadata modelspec.architecture"
	case part == "controlnet" || part == "control-net":
		s.Kind, s.Evidence = "ControlNet", "metadata modelspec.architecture"
	case metadata["ss_network_module"] != "":
		s.Kind, s.Evidence = lora, "metadata ss_network_module"
	case metadata["ss_network_dim"] != "":
		s.Kind, s.Evidence = lora, "metadata ss_network_dim"
	case architecture != "" && part == "" && s.Base != "":
		s.Kind, s.Evidence = checkpoint, "metadata modelspec.architecture"
	default:
		return false
	}
	return true
}

// byClass goes by a class of a config.
func byClass(class string) string {
	for _, c := range classes {
		if strings.HasSuffix(class, c.suffix) {
			return c.kind
		}
	}
	return ""
}

// pipeline describes each group as a component.
func (s *Summary) pipeline(groups []*group, cfg config) {
	s.Kind, s.Evidence, s.Layers = "diffusers pipeline", groups[0].evidence(0), 0
	if strings.HasSuffix(cfg.class, "Pipeline") {
		s.Evidence = "config _class_name"
	}
	for _, g := range groups {
		c := Component{Name: strings.TrimSuffix(g.prefix, "/"), Kind: "unknown", Parameters: g.parameters, Tensors: len(g.tensors)}
		if r, at := g.rule(); r != nil {
			c.Kind, c.Evidence = r.kind, g.evidence(at)
			if s.Base == "" && (r.kind == unet || r.kind == denoiser) {
				s.Base = g.base(r)
			}
		} else {
			for _, f := range folders {
				if strings.HasPrefix(c.Name, f.prefix) {
					c.Kind, c.Evidence = f.kind, "folder "+c.Name
					break
				}
			}
		}
		s.Components = append(s.Components, c)
	}
	if s.Base != "" {
		s.Kind += " (" + s.Base + ")"
	}
}

// rule returns the first rule that the names fit, and the tensor that says so.
func (g *group) rule() (*rule, int) {
next:
	for i := range rules {
		r := &rules[i]
		first := g.names.find(r.all[0])
		if first == nil {
			continue
		}
		for _, need := range r.all[1:] {
			if g.names.find(need) == nil {
				continue next
			}
		}
		if slices.ContainsFunc(r.none, func(need string) bool { return g.names.find(need) != nil }) {
			continue
		}
		return r, first.first
	}
	return nil, 0
}

// base returns the base that a rule or a trait tells.
func (g *group) base(r *rule) string {
	if r.base != "" {
		return r.base
	}
	for _, t := range traits {
		p := g.names.find(t.need)
		if p == nil {
			continue
		}
		if shape := g.tensors[p.first].Shape; t.width == 0 || len(shape) >= 2 && shape[1] == t.width {
			return t.base
		}
	}
	return ""
}

// evidence names a tensor, quoted as it may hold anything.
func (g *group) evidence(tensor int) string {
	return "tensor " + strconv.Quote(g.tensors[tensor].Name)
}
