package sbom

import (
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// spdx has the SPDX identifiers of the Hub's names of licences, which are
// theirs in lower case but for these. Names that are in neither, such as llama3
// and openrail, are no SPDX licences.
var spdx = map[string]string{
	"apache-2.0": "Apache-2.0", "mit": "MIT", "afl-3.0": "AFL-3.0", "artistic-2.0": "Artistic-2.0", "bsl-1.0": "BSL-1.0",
	"bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "bsd-3-clause-clear": "BSD-3-Clause-Clear", "c-uda": "C-UDA-1.0",
	"cc0-1.0": "CC0-1.0", "cc-by-2.0": "CC-BY-2.0", "cc-by-2.5": "CC-BY-2.5", "cc-by-3.0": "CC-BY-3.0", "cc-by-4.0": "CC-BY-4.0",
	"cc-by-sa-3.0": "CC-BY-SA-3.0", "cc-by-sa-4.0": "CC-BY-SA-4.0", "cc-by-nc-2.0": "CC-BY-NC-2.0", "cc-by-nc-3.0": "CC-BY-NC-3.0",
	"cc-by-nc-4.0": "CC-BY-NC-4.0", "cc-by-nd-4.0": "CC-BY-ND-4.0", "cc-by-nc-nd-3.0": "CC-BY-NC-ND-3.0", "cc-by-nc-nd-4.0": "CC-BY-NC-ND-4.0",
	"cc-by-nc-sa-2.0": "CC-BY-NC-SA-2.0", "cc-by-nc-sa-3.0": "CC-BY-NC-SA-3.0", "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0",
	"cdla-sharing-1.0": "CDLA-Sharing-1.0", "cdla-permissive-1.0": "CDLA-Permissive-1.0", "cdla-permissive-2.0": "CDLA-Permissive-2.0",
	"wtfpl": "WTFPL", "ecl-2.0": "ECL-2.0", "epl-1.0": "EPL-1.0", "epl-2.0": "EPL-2.0", "etalab-2.0": "etalab-2.0", "eupl-1.1": "EUPL-1.1", "eupl-1.2": "EUPL-1.2",
	"agpl-3.0": "AGPL-3.0", "gpl-2.0": "GPL-2.0", "gpl-3.0": "GPL-3.0", "lgpl-2.1": "LGPL-2.1", "lgpl-3.0": "LGPL-3.0",
	"isc": "ISC", "lppl-1.3c": "LPPL-1.3c", "ms-pl": "MS-PL", "mpl-2.0": "MPL-2.0", "odc-by": "ODC-By-1.0", "odbl": "ODbL-1.0", "osl-3.0": "OSL-3.0",
	"postgresql": "PostgreSQL", "ofl-1.1": "OFL-1.1", "ncsa": "NCSA", "unlicense": "Unlicense", "zlib": "Zlib", "pddl": "PDDL-1.0",
}

// licenses are what a card says of licences. "other" is the Hub's word for one
// that the card names itself.
func (c *card) licenses() *cdx.Licenses {
	var list cdx.Licenses
	for _, name := range c.License {
		l := &cdx.License{Name: name}
		if id := spdx[strings.ToLower(name)]; id != "" {
			l = &cdx.License{ID: id}
		} else if name == "other" {
			if l.Name = c.LicenseName; l.Name == "" {
				if l.Name = c.LicenseLink; l.Name == "" {
					l.Name = "other"
				}
			}
		}
		if link := webAddress(c.LicenseLink); link != "" {
			l.URL = link
		}
		list = append(list, cdx.LicenseChoice{License: l})
	}
	if len(list) == 0 {
		return nil
	}
	return &list
}

// webAddress is a link as it can stand in a bill, which wants an IRI, or "".
func webAddress(link string) string {
	if !strings.HasPrefix(link, "https://") && !strings.HasPrefix(link, "http://") {
		return ""
	}
	for _, r := range link {
		if r <= ' ' || strings.ContainsRune("<>\"{}|\\^`", r) {
			return ""
		}
	}
	return link
}
