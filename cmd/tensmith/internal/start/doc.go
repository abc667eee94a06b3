// Package start keeps what the start of the command takes of memory small: its code
// that nothing else needs is four times what a scan of a checkpoint runs.
package start
