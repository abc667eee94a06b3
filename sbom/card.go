package sbom

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A card is what the front matter of a model card says, as the Hub has it:
// https://huggingface.co/docs/hub/model-cards#model-card-metadata
type card struct {
	License     words  `yaml:"license"`
	LicenseName string `yaml:"license_name"`
	LicenseLink string `yaml:"license_link"`
	BaseModel   words  `yaml:"base_model"`
	Relation    string `yaml:"base_model_relation"`
	Datasets    words  `yaml:"datasets"`
	Task        string `yaml:"pipeline_tag"`
	Library     string `yaml:"library_name"`
	Name        string `yaml:"model_name"`
	Language    words  `yaml:"language"`
	Tags        words  `yaml:"tags"`
}

// words are a string or a list of strings, as authors like.
type words []string

// UnmarshalYAML implements yaml.Unmarshaler. What is neither counts as nothing.
func (w *words) UnmarshalYAML(n *yaml.Node) error {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag != "!!null" && n.Value != "" {
			*w = words{n.Value}
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if item.Kind == yaml.ScalarNode && item.Tag != "!!null" && item.Value != "" {
				*w = append(*w, item.Value)
			}
		}
	}
	return nil
}

const maxCard = 1 << 20

// parseCard reads the front matter of a README.md: YAML between two lines of
// three dashes at its beginning. A text without one is an empty card.
func parseCard(text []byte) (c card, err error) {
	text = bytes.ReplaceAll(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("\r\n"), []byte("\n"))
	text, ok := bytes.CutPrefix(text, []byte("---\n"))
	if !ok {
		return c, nil
	}
	end := bytes.Index(append([]byte{'\n'}, text...), []byte("\n---"))
	if end < 0 {
		return c, errors.New("its front matter has no end")
	}
	err = yaml.Unmarshal(text[:end], &c)
	// A value marked !!binary may be any bytes, which no JSON can hold.
	for _, s := range []*string{&c.LicenseName, &c.LicenseLink, &c.Relation, &c.Task, &c.Library, &c.Name} {
		*s = strings.ToValidUTF8(*s, "\ufffd")
	}
	if _, ok := errors.AsType[*yaml.TypeError](err); ok {
		return c, nil // a member of another kind; the others are read
	}
	if err != nil {
		return card{}, fmt.Errorf("its front matter: %w", err)
	}
	return c, nil
}
