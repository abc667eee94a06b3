package pkcs11

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A URI names a key, as RFC 7512 has it:
//
//	pkcs11:token=models;object=release?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/run/pin
//
// Attributes that name no key, and those of other tools, are ignored.
type URI struct {
	Token, Serial string // of the token; one of them or SlotID is needed
	SlotID        *int
	Object        string // label of the key
	ID            []byte // of the key; one of them is needed
	Module        string // path of the library
	PIN           string
}

// ParseURI reads a URI. The file that pin-source names is read, up to the end
// of its first line.
func ParseURI(text string) (*URI, error) {
	u, err := parseURI(text)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: URI: %w", err)
	}
	return u, nil
}

func parseURI(text string) (*URI, error) {
	rest, ok := strings.CutPrefix(text, "pkcs11:")
	if !ok {
		return nil, fmt.Errorf("%.20q is not of scheme pkcs11", text)
	}
	where, query, _ := strings.Cut(rest, "?")
	values := map[string]string{}
	for _, part := range append(strings.Split(where, ";"), strings.Split(query, "&")...) {
		if part == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		if !ok {
			return nil, fmt.Errorf("attribute %q has no value", part)
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("attribute %s stands there twice", key)
		}
		// A plus is no space here (RFC 7512, 2.3).
		plain, err := url.PathUnescape(value)
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", key, err)
		}
		values[key] = plain
	}
	u := &URI{
		Token:  values["token"],
		Serial: values["serial"],
		Object: values["object"],
		ID:     []byte(values["id"]),
		PIN:    values["pin-value"],
		Module: values["module-path"],
	}
	if kind, ok := values["type"]; ok && kind != "private" && kind != "cert" {
		return nil, fmt.Errorf("type is %q, not private", kind)
	}
	if text, ok := values["slot-id"]; ok {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("slot-id is %q, not a number", text)
		}
		slot := int(n)
		u.SlotID = &slot
	}
	if source, ok := values["pin-source"]; ok {
		if u.PIN != "" {
			return nil, fmt.Errorf("pin-source and pin-value exclude each other")
		}
		pin, err := os.ReadFile(strings.TrimPrefix(strings.TrimPrefix(source, "file:"), "//"))
		if err != nil {
			return nil, err
		}
		first, _, _ := strings.Cut(string(pin), "\n")
		u.PIN = strings.TrimSuffix(first, "\r")
	}
	if u.Module == "" && values["module-name"] != "" {
		return nil, fmt.Errorf("module-name is not looked for: give module-path")
	}
	return u, u.check()
}

func (u *URI) check() error {
	named := 0
	for _, is := range []bool{u.Token != "", u.Serial != "", u.SlotID != nil} {
		if is {
			named++
		}
	}
	switch {
	case named == 0:
		return fmt.Errorf("token, serial or slot-id is missing")
	case u.Object == "" && len(u.ID) == 0:
		return fmt.Errorf("object or id is missing")
	case u.Module == "":
		return fmt.Errorf("module-path is missing")
	case !filepath.IsAbs(u.Module):
		// A relative one would be looked for where the system does, and may be
		// someone else's.
		return fmt.Errorf("module-path %q is not absolute", u.Module)
	}
	return nil
}
