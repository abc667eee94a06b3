package pkcs11_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/sign/pkcs11"
)

func TestParseURI(t *testing.T) {
	pin := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pin, []byte("12 34\r\nmore"), 0o600); err != nil {
		t.Fatal(err)
	}
	slot := 7
	module := "/usr/lib/softhsm/libsofthsm2.so"
	for text, want := range map[string]*pkcs11.URI{
		"pkcs11:token=a%20b;object=k?module-path=" + module + "&pin-value=1%263": {Token: "a b", Object: "k", ID: []byte{}, Module: module, PIN: "1&3"},
		"pkcs11:id=%01%ff;slot-id=7?module-path=" + module:                       {SlotID: &slot, ID: []byte{1, 255}, Module: module},
		"pkcs11:serial=a+b;object=k;type=private;manufacturer=x?module-path=" + module + "&pin-source=file:" + pin: {
			Serial: "a+b", Object: "k", ID: []byte{}, Module: module, PIN: "12 34"},
		"pkcs11:token=a;object=k?pin-source=" + pin + "&module-path=" + module: {Token: "a", Object: "k", ID: []byte{}, Module: module, PIN: "12 34"},
	} {
		got, err := pkcs11.ParseURI(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	for text, want := range map[string]string{
		"token=a":                                                                 "is not of scheme pkcs11",
		"pkcs11:":                                                                 "token, serial or slot-id is missing",
		"pkcs11:object=k?module-path=" + module:                                   "token, serial or slot-id is missing",
		"pkcs11:token=a?module-path=" + module:                                    "object or id is missing",
		"pkcs11:token=a;object=k":                                                 "module-path is missing",
		"pkcs11:token=a;object=k?module-path=x.so":                                "is not absolute",
		"pkcs11:token=a;object=k?module-name=softhsm2":                            "give module-path",
		"pkcs11:token=a;token=b;object=k?module-path=" + module:                   "twice",
		"pkcs11:token;object=k?module-path=" + module:                             "has no value",
		"pkcs11:token=%zz;object=k?module-path=" + module:                         "invalid URL escape",
		"pkcs11:slot-id=x;object=k?module-path=" + module:                         "not a number",
		"pkcs11:token=a;object=k;type=public?module-path=" + module:               "not private",
		"pkcs11:token=a;object=k?pin-value=1&pin-source=/x&module-path=" + module: "exclude each other",
		"pkcs11:token=a;object=k?pin-source=/no/such/file&module-path=" + module:  "/no/such/file",
	} {
		if got, err := pkcs11.ParseURI(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
