// Package digest computes the SHA-256 of many streams at once.
//
// One SHA-256 is a chain: each of its steps waits for the one before, and most
// of a processor for all of them. A [Pool] takes pieces of several [Stream]
// values and hashes them side by side where the processor can: two with its
// instructions for SHA-256, at twice the speed of crypto/sha256, or 16 with
// AVX-512, at more than three times that speed. Everything else, and every stream
// on other processors, is crypto/sha256's own work.
//
// [Each] does the same for streams that it reads itself, which needs less memory
// and leaves nothing waiting.
//
// The digest of one long stream takes as long as ever: give either at least
// [Lanes] streams to work on where there are as many.
package digest
