// Package convert tells foreign model formats apart and turns them into
// safetensors.
package convert
