// Package start keeps what the start of the command takes of memory small: hundreds of
// packages have something to initialise, in a tenth of the pages that are in memory
// then, for the system maps 64 KiB around each that is touched.
package start
