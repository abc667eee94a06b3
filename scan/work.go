package scan

import "errors"

// What a scan does for a file takes time by what is met, and never by a clock: the
// same file comes as far on every machine. Units are about a nanosecond of a
// processor of 2024. What has bounds of its own, which is pickles and
// what is held against the other limits of a trace, takes from them and not from
// here, or little.
const (
	maxWork = 600_000_000

	workPart       = 2_000   // of a file within another, of whatever kind
	workFinding    = 2_500   // that is kept
	workText       = 3_000   // of a text
	workExpression = 50      // of a byte that a regular expression is matched with
	workCommand    = 170     // of a byte that is held against commands
	workSearch     = 4       // of a byte in which words are looked for
	workJunk       = 2       // of a byte of what belongs to nothing
	workWord       = 40      // of JSON
	workLine       = 100     // of settings, in which words are looked for
	workTag        = 100     // of XML
	workOperator   = 2_000   // of TensorFlow Lite
	workXML        = 15      // of a byte of it
	workAttribute  = 1_000   // that is judged
	workHeaderByte = 10      // of a long header of safetensors
	workMetadata   = 600     // of a key of its metadata
	workKeyTexts   = 2_500   // of one that is searched by itself
	workLiteral    = 60      // of a byte of a long header of NumPy
	workString     = 35      // of GGUF
	workPair       = 75      // of GGUF, with its key
	workField      = 80      // of protocol buffers
	workEntry      = 1_500   // of an archive of tar
	workName       = 10      // of a byte of a long name there
	workUnknown    = 30_000  // of bytes that are held against all formats
	workHeader     = 25_000  // of a format with a header of its own
	workBzip2      = 90      // of an unpacked byte
	workLZMA       = 70      // of an unpacked byte
	workFlate      = 7       // of an unpacked byte, and of all that are as quick
	workWindow     = 1 << 20 // of what decompressors begin with: they clear as many bytes
)

// Pickles are bounded by units of pickle.Decoder.Work, of which two are one of those
// above. 230,000 tensors take nearly all of the first: what is behind a bound or a
// place where a pickle breaks off is still read for names.
const (
	maxPickles   = 600_000_000 // to read and to judge pickles
	maxSkimmed   = 330_000_000 // to read them for names alone
	pickleUnits  = 2
	pickleWork   = 25_000 // to begin with a pickle, or with what may be a file within a string
	soundWork    = 5_000  // to begin with one of the pickles of a tensor that was pickled whole, and sound
	triedWork    = 1_500  // to find that a text is none
	skimWork     = 2_000
	eventWork    = 25
	nameWork     = 800   // a name that was not met before
	strayWork    = 80    // what is told
	messageWork  = 1_500 // of it
	valueWork    = 5     // a value among others
	pairWork     = 15
	placeWork    = 25  // a place of a text that may be a hint
	keyWork      = 300 // the name of a value, which may be one of a secret
	textWork     = 10  // a byte of a text that may be a program, or hold a secret
	lookWork     = 3   // a byte of what is decoded to be looked into
	elementsWork = 100 // a part of a type of NumPy
	bytesWork    = 150 // to hold short bytes against all formats
)

// errWork ends what is read for as long as there is work left, which is told
// when all is done.
var errWork = errors.New("more work than a scan does")

// partWork is what a file within another takes, by its kind. Files of program
// code, pictures and pickles take no more than others do.
var partWork = [...]int64{
	kindSafetensors: workHeader, kindHDF5: workHeader, kindGGUF: workHeader / 2, kindNPY: 1_000, kindData: workHeader, kindSevenZip: workHeader,
	kindTar: workHeader, kindZip: workHeader, kindGzip: workHeader, kindZlib: 2 * workHeader, kindZstd: 2 * workHeader, kindLZ4: 2 * workHeader, kindZFile: 2 * workHeader,
	kindBzip2: workWindow, kindXZ: 2 * workWindow, kindLZMA: 4 * workWindow,
	kindPointer: 0,
}

// work takes from what may be done for the file, and tells whether there is as
// much. Where there is not, it is told at the end, and nothing of its kind is
// begun any more.
func (t *trace) work(n int64) bool {
	if t.spent.work < 0 {
		return false
	}
	t.spent.work -= n
	return t.spent.work >= 0
}

// part takes for one more file within the file.
func (t *trace) part(k kind) bool { return t.work(workPart + partWork[k]) }
