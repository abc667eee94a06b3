package scan

import (
	"fmt"
	"strings"
)

// coreML reads a Model of Core ML (mlmodel/format/Model.proto):
// specificationVersion = 1, description = 2, and one of the kinds of models,
// whose numbers are 200 and more.
func (m *message) coreML(b blob) {
	if m.depth++; m.depth > 32 {
		m.t.note("ST404", m.at, -1, "", "models nested deeper than 32")
		return
	}
	defer func() { m.depth-- }()
	m.t.fields(b, func(f field) bool {
		if f.wire != 2 {
			return true
		}
		switch f.number {
		case 2: // ModelDescription: metadata = 100
			m.each(f.data, 100, m.coreMetadata)
		case 200, 201: // PipelineClassifier, PipelineRegressor: pipeline = 1
			m.each(f.data, 1, func(g field) { m.each(g.data, 1, func(h field) { m.coreML(h.data) }) })
		case 202: // Pipeline: models = 1
			m.each(f.data, 1, func(g field) { m.coreML(g.data) })
		case 303, 403, 500: // neural networks: layers = 1
			m.each(f.data, 1, m.coreLayer)
		case 555: // CustomModel: className = 10
			name := ""
			m.each(f.data, 10, func(g field) { name = g.str() })
			m.t.note("ST376", m.at, f.offset, clip(name, 80), fmt.Sprintf("a model of the class %+q, which the program that loads it implements", clip(name, 80)))
			m.coreParameters(f.data, f.offset)
		case 556: // LinkedModel: linkedModelFile = 1: name = 1, search path = 2, each a StringParameter
			m.each(f.data, 1, func(g field) {
				for _, number := range []int{1, 2} {
					m.each(g.data, number, func(h field) { m.linked(h) })
				}
			})
		}
		return true
	})
}

// each visits the fields of a number that hold bytes.
func (m *message) each(b blob, number int, visit func(field)) {
	m.t.fields(b, func(f field) bool {
		if f.number == number && f.wire == 2 {
			visit(f)
		}
		return true
	})
}

// coreMetadata reads a Metadata: what a person wrote, and userDefined = 100.
func (m *message) coreMetadata(f field) {
	for _, part := range []struct {
		number int
		key    string
	}{{1, "shortDescription"}, {2, "versionString"}, {3, "author"}, {4, "license"}} {
		m.each(f.data, part.number, func(g field) { m.coreText(g.offset, part.key, g.str()) })
	}
	m.each(f.data, 100, func(g field) { m.pair(g) })
}

// pair reads an entry of a map of texts: key = 1, value = 2, which of a custom
// layer is a message with its text in a field.
func (m *message) pair(f field) {
	key, value := "", ""
	m.each(f.data, 1, func(g field) { key = g.str() })
	m.each(f.data, 2, func(g field) { value = g.str() })
	m.coreText(f.offset, key, value)
}

func (m *message) coreText(offset int64, key, text string) {
	m.t.metadataText(m.at, key, text)
	if match := m.t.command(text); match != "" {
		m.t.note("ST353", m.at, offset, excerpt(match, 60), fmt.Sprintf("%s holds %+q", shown(key), excerpt(match, 60)))
	}
}

// coreLayer reads a NeuralNetworkLayer: custom = 500, of which className = 10.
func (m *message) coreLayer(f field) {
	m.each(f.data, 500, func(g field) {
		name := ""
		m.each(g.data, 10, func(h field) { name = h.str() })
		m.t.note("ST376", m.at, g.offset, clip(name, 80), fmt.Sprintf("a layer of the class %+q, which the program that loads it implements", clip(name, 80)))
		m.coreParameters(g.data, g.offset)
	})
}

// coreParameters reads those of a custom layer or model: parameters = 30.
func (m *message) coreParameters(b blob, offset int64) {
	m.each(b, 30, func(f field) { m.pair(f) })
}

// linked reads a StringParameter: defaultValue = 1 or 2 by its release.
func (m *message) linked(f field) {
	m.t.fields(f.data, func(g field) bool {
		if g.wire == 2 && (g.number == 1 || g.number == 2) {
			if name := g.str(); name != "" && leaves(name) && !strings.ContainsFunc(name, unprintable) {
				m.t.note("ST377", m.at, g.offset, clip(name, 80), fmt.Sprintf("is linked to %+q, outside of its directory", clip(name, 80)))
			}
		}
		return true
	})
}
