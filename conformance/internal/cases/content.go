package cases

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Tensor is what an accepted file says about one of its tensors.
type Tensor struct {
	Name   string   `json:"name"`
	DType  string   `json:"dtype"`
	Shape  []uint64 `json:"shape"`
	SHA256 string   `json:"sha256"`
}

// Content takes an accepted case apart: its tensors by name and its metadata, nil
// where it has none. It believes the file, so it is of no use for any other.
func (c Case) Content() ([]Tensor, map[string]string, error) {
	length := binary.LittleEndian.Uint64(c.File)
	header, data := c.File[8:8+length], c.File[8+length:]
	var members map[string]json.RawMessage
	if err := json.Unmarshal(header, &members); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	var metadata map[string]string
	tensors := []Tensor{}
	for name, member := range members {
		if name == "__metadata__" {
			if err := json.Unmarshal(member, &metadata); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", c.Name, err)
			}
			continue
		}
		t, err := tensor(name, member, data)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		tensors = append(tensors, t)
	}
	slices.SortFunc(tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	return tensors, metadata, nil
}

func tensor(name string, member json.RawMessage, data []byte) (Tensor, error) {
	// A struct would match field names without regard to case.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(member, &fields); err != nil {
		return Tensor{}, err
	}
	t := Tensor{Name: name, Shape: []uint64{}}
	var span [2]uint64
	for field, value := range map[string]any{"dtype": &t.DType, "shape": &t.Shape, "data_offsets": &span} {
		if err := json.Unmarshal(fields[field], value); err != nil {
			return Tensor{}, err
		}
	}
	sum := sha256.Sum256(data[span[0]:span[1]])
	t.SHA256 = hex.EncodeToString(sum[:])
	return t, nil
}

// Description is the JSON text that lies beside the file of a case.
type Description struct {
	Why       string             `json:"why"`
	Verdict   string             `json:"verdict"` // "accept" or "refuse"
	Class     string             `json:"class,omitempty"`
	Reference string             `json:"reference"` // "ok" or the name of its error
	Tensors   []Tensor           `json:"tensors,omitzero"`
	Metadata  *map[string]string `json:"metadata,omitempty"`
}

// Describe gives the text that lies beside the file.
func (c Case) Describe() ([]byte, error) {
	d := Description{Why: c.Why, Verdict: "refuse", Class: c.Class, Reference: c.Reference}
	if c.Class == "" {
		d.Verdict = "accept"
		tensors, metadata, err := c.Content()
		if err != nil {
			return nil, err
		}
		d.Tensors = tensors
		if metadata != nil {
			d.Metadata = &metadata
		}
	}
	text, err := json.MarshalIndent(d, "", " ")
	return append(text, '\n'), err
}
