package scan

import (
	"math"
	"strings"

	"github.com/tensmith/tensmith/describe"
)

// loraParts are what names call the two matrices of a LoRA, arXiv 2106.09685:
// the one that is read first, and the one that is zero before training.
var loraParts = [][2]string{{"lora_A", "lora_B"}, {"lora_down", "lora_up"}, {"lora.down", "lora.up"}}

func isDown(name string) bool { return loraPart(name, 0) != "" }
func isUp(name string) bool   { return loraPart(name, 1) != "" }

// loraPart returns the name with a blank for what says that it is the part, or
// "" if it is not.
func loraPart(name string, part int) string {
	for _, p := range loraParts {
		if i := strings.LastIndex(name, p[part]); i >= 0 {
			return name[:i] + " " + name[i+len(p[part]):]
		}
	}
	return ""
}

// adapters compares the pairs of a LoRA. The product of the norms of the two,
// times alpha by rank if there is an alpha, bounds the norm of what they add to
// the model's weights.
func (s *valueScan) adapters() {
	downs, alphas := map[string]*valueTensor{}, map[string]float64{}
	for _, t := range s.tensors {
		if base := loraPart(t.Name, 0); base != "" && len(t.Shape) >= 2 {
			downs[base] = t
		}
		if module, ok := strings.CutSuffix(t.Name, ".alpha"); ok && t.count == 1 && t.max > 0 {
			alphas[module] = t.max
		}
	}
	if len(downs) < minKind {
		return
	}
	type pair struct {
		up   *valueTensor
		norm float64
	}
	groups := map[string][]pair{}
	var keys []string
	for _, t := range s.tensors {
		base := loraPart(t.Name, 1)
		down := downs[base]
		if base == "" || down == nil || t.role != describe.Plain {
			continue
		}
		norm := t.l2 * down.l2
		module, _, _ := strings.Cut(base, " ")
		if alpha, ok := alphas[strings.TrimSuffix(module, ".")]; ok && down.Shape[0] > 0 {
			norm *= alpha / float64(down.Shape[0])
		}
		if !(norm > 0) || math.IsInf(norm, 0) {
			continue
		}
		key := pattern(t.Name)
		if groups[key] == nil {
			keys = append(keys, key)
		}
		groups[key] = append(groups[key], pair{t, norm})
	}
	for _, key := range keys {
		group := groups[key]
		if len(group) < minKind {
			continue
		}
		norms := make([]float64, len(group))
		for i, p := range group {
			norms[i] = p.norm
		}
		median, all := standings(norms)
		for i, p := range group {
			if all[i].apart(2 * outlierRatio) {
				s.add(p.up, "ST206", 0, "the norms of its pair multiply to %.4g, and the median of its %d likes is %.4g (robust z-score %.1f of the logarithm)", p.norm, len(group), median, all[i].score)
			}
		}
	}
}
