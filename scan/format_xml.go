package scan

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// entity is a declaration that has a reader of XML open a file or an address
// (CWE-611), or fill its memory.
var entity = regular(`<!ENTITY\s+(?:%\s+)?[\w.-]+\s+(SYSTEM|PUBLIC)?`)

// scripted is what a document of numbers does without.
var scripted = regular(`(?i)<script\b|javascript:|\b(?:eval|exec|system|import)\s*\(|__import__`)

// maxXML is how much of a document is read.
const maxXML = 8 << 20

// xml looks at a document: models of OpenVINO and PMML are such, and so is
// much else, which is judged for its entities alone. Go's reader expands none.
func (t *trace) xml(b blob, text []byte, at place) {
	lower := strings.ToLower(at.name)
	root, pmml := "", strings.HasSuffix(lower, ".pmml")
	source := &xmlBytes{r: bufio.NewReader(io.NewSectionReader(b, 0, min(b.size, maxXML)))}
	d := xml.NewDecoder(source)
	d.Strict = true
	d.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) { return r, nil }
	for last := int64(0); t.ctx.Err() == nil && t.work(workTag+workXML*(d.InputOffset()-last)); {
		last = d.InputOffset()
		source.token()
		tok, err := d.RawToken()
		at, offset := at, d.InputOffset()
		if err != nil {
			// Behind the first element nothing is declared, and of what is no
			// model that is all that matters.
			var syntax *xml.SyntaxError
			model := pmml || root == "net" || root == "PMML"
			switch {
			case errors.Is(err, errTag) && (model || root == ""):
				t.note("ST408", at, offset, "xml", errTag.Error())
			case b.size > maxXML && (model || root == "" && offset >= maxXML):
				t.note("ST408", at, maxXML, "xml", fmt.Sprintf("the first %d of %d bytes were looked into", maxXML, b.size))
			case model && errors.As(err, &syntax):
				t.note("ST382", at, offset, "syntax", "is no sound XML: "+syntax.Msg)
			}
			break
		}
		switch tok := tok.(type) {
		case xml.Directive:
			for _, m := range entity().FindAllSubmatch(append([]byte("<!"), tok...), 16) {
				if len(m[1]) > 0 {
					t.note("ST380", at, offset, "entity", fmt.Sprintf("declares an entity that is read from elsewhere: %+q", excerpt(string(tok), 120)))
				} else {
					t.note("ST382", at, offset, "entity", "declares entities of its own")
				}
			}
		case xml.StartElement:
			if root == "" {
				root = tok.Name.Local
				if pmml && root != "PMML" {
					t.note("ST382", at, offset, "root", fmt.Sprintf("called PMML, and is a document of %+q", clip(root, 40)))
				}
			}
			t.element(at, offset, root, tok)
		case xml.CharData:
			if (root == "PMML" || pmml) && t.work(workExpression*int64(len(tok))) {
				if match := scripted().Find(tok); match != nil {
					t.note("ST382", at, offset, "script", fmt.Sprintf("holds what looks like a program: %+q", excerpt(string(match), 40)))
				}
			}
		}
	}
	if root != "net" && root != "PMML" && !pmml {
		return
	}
	if match := t.command(string(text)); match != "" {
		t.note("ST353", at, -1, excerpt(match, 60), fmt.Sprintf("holds %+q", excerpt(match, 60)))
	}
}

// element judges an element and its attributes.
func (t *trace) element(at place, offset int64, root string, e xml.StartElement) {
	switch root {
	case "net": // openvino/src/frontends/ir
		for _, a := range e.Attr {
			switch {
			case e.Name.Local == "layer" && a.Name.Local == "type" && strings.EqualFold(a.Value, "python"):
				t.note("ST381", at, offset, "Python", "a layer that calls Python")
			case a.Name.Local == "library" || a.Name.Local == "extension" && isLibraryName(a.Value):
				t.note("ST381", at, offset, clip(a.Value, 80), fmt.Sprintf("a layer of the library %+q", clip(a.Value, 80)))
			}
		}
	case "PMML":
		if strings.EqualFold(e.Name.Local, "script") {
			t.note("ST382", at, offset, "script", "holds a script")
		}
		for _, a := range e.Attr {
			if a.Name.Space == "xmlns" || a.Name.Local == "xmlns" || a.Name.Local == "schemaLocation" {
				continue
			}
			if !t.work(workAttribute + workExpression*int64(len(a.Value))) {
				return // which is told when all is done
			}
			if scripted().MatchString(a.Value) {
				t.note("ST382", at, offset, "script", fmt.Sprintf("an attribute holds what looks like a program: %+q", excerpt(a.Value, 60)))
			} else if strings.HasPrefix(a.Value, "http://") || strings.HasPrefix(a.Value, "https://") || strings.HasPrefix(a.Value, "file:") {
				t.note("ST382", at, offset, "address", fmt.Sprintf("names an address: %+q", excerpt(a.Value, 80)))
			}
		}
	}
}

// isLibraryName knows the names of libraries for processors.
func isLibraryName(name string) bool {
	lower := strings.ToLower(name)
	for _, end := range []string{".so", ".dll", ".dylib", ".pyd"} {
		if strings.HasSuffix(lower, end) || strings.Contains(lower, end+".") {
			return true
		}
	}
	return false
}
