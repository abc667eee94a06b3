package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tensmith/tensmith/quant"
	"github.com/tensmith/tensmith/safetensors"
)

// quantizationConfig is what config.json has to say for loaders to know what
// cast has made, or nil if none knows it. The fields are those of transformers'
// FineGrainedFP8Config and of compressed-tensors' QuantizationConfig.
func quantizationConfig(c *casting, kept []castKept) any {
	modules := []string{}
	for _, t := range kept {
		if module, ok := strings.CutSuffix(t.Name, ".weight"); ok && t.rank >= 2 {
			modules = append(modules, module)
		}
	}
	type members = map[string]any
	compressed := func(format string, weights members) any {
		weights["symmetric"], weights["dynamic"], weights["type"] = true, false, "float"
		return members{"quant_method": "compressed-tensors", "format": format, "quantization_status": "compressed", "ignore": modules,
			"config_groups": members{"group_0": members{"targets": []string{"Linear"}, "weights": weights}}}
	}
	mx := members{"strategy": "group", "group_size": 32, "scale_dtype": "torch.uint8"}
	switch {
	case c.dtype == safetensors.F8E4M3 && c.scaling == quant.Block128:
		return members{"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": []int{128, 128}, "modules_to_not_convert": modules}
	case c.dtype == safetensors.F8E4M3 && c.scaling == quant.PerTensor:
		return compressed("float-quantized", members{"num_bits": 8, "strategy": "tensor"})
	case c.dtype == safetensors.F8E4M3 && c.scaling == quant.MX:
		mx["num_bits"] = 8
		return compressed("mxfp8-quantized", mx)
	case c.dtype == safetensors.F4 && c.scaling == quant.MX:
		mx["num_bits"] = 4
		return compressed("mxfp4-pack-quantized", mx)
	}
	return nil
}

// quantizationFields are what config.json may call what packed weights are.
var quantizationFields = []string{"quantization_config", "compression_config", "quantization"}

// writeConfig writes the text of a config.json with another
// quantization_config, or none, as transformers would: two spaces, fields in
// order. What is not about quantisation stays as it is.
func writeConfig(name string, text []byte, quantization any, force bool) error {
	fields := map[string]json.RawMessage{}
	if text != nil {
		if err := json.Unmarshal(text, &fields); err != nil {
			return fmt.Errorf("config.json of the model: %w", err)
		}
	}
	for _, field := range quantizationFields {
		delete(fields, field)
	}
	if quantization != nil {
		value, err := json.Marshal(quantization)
		if err != nil {
			return err
		}
		fields["quantization_config"] = value
	}
	out, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		return err
	}
	return writeWhole(name, append(out, '\n'), force)
}

// writeWhole writes a small file that appears whole or not at all.
func writeWhole(name string, text []byte, force bool) error {
	if err := refuse(name, force); err != nil {
		return err
	}
	f, err := createTemp(filepath.Split(name))
	if err != nil {
		return simplify(name, err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return simplify(name, err)
	}
	return nil
}

// refuse is an error if a file exists and is not to be replaced.
func refuse(name string, force bool) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Better now than after hours of reading.
		if _, err := os.Stat(filepath.Dir(name)); err != nil {
			return simplify(filepath.Dir(name), err)
		}
		return nil
	case err != nil:
		return simplify(name, err)
	case info.IsDir():
		return hinted{fmt.Errorf("%s: is a directory", name), "name a file in it"}
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: not a regular file, but a %s", name, special(info.Mode()))
	case !force:
		return hinted{fmt.Errorf("%s: exists", name), "--force replaces it"}
	}
	return nil
}

// nothing is the report of a verb that had nothing to write.
func nothing(verb string) writeReport {
	return writeReport{Schema: "tensmith." + verb + "/1", Output: []string{}}
}

// guardBefore refuses what produce and writeConfig would refuse after long
// work.
func (o *output) guardBefore(w *writing, config, address string) error {
	limit, err := o.limit()
	if err != nil {
		return err
	}
	if o.name != "" && !o.inPlace {
		if err := o.guard(limit > 0, w.paths); err != nil {
			return err
		}
	}
	if config == "" {
		return nil
	}
	own := filepath.Join(filepath.Dir(address), "config.json")
	if info, err := os.Stat(address); err == nil && info.IsDir() {
		own = filepath.Join(address, "config.json")
	}
	x, errX := os.Stat(own)
	y, errY := os.Stat(config)
	if errX == nil && errY == nil && os.SameFile(x, y) && !o.inPlace {
		return hinted{fmt.Errorf("%s: is the config.json of the input, which is not written to", config), "write to another name or directory"}
	}
	return refuse(config, o.force)
}
