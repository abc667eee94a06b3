// Package tensmith is the root of the module and holds nothing to import.
//
// Begin with [github.com/tensmith/tensmith/safetensors], the file format, and
// with the command in cmd/tensmith.
package tensmith
