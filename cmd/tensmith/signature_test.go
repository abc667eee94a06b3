package main

import (
	"strings"
	"testing"
)

// theirFlags are the flags of model_signing 1.1.1, as its --help has them.
var theirFlags = map[string]string{
	"sign key":                "--ignore-paths --ignore-git-paths --no-ignore-git-paths --allow_symlinks --signature --private_key --password",
	"sign certificate":        "--ignore-paths --ignore-git-paths --no-ignore-git-paths --allow_symlinks --signature --private_key --signing_certificate --certificate_chain",
	"sign sigstore":           "--ignore-paths --ignore-git-paths --no-ignore-git-paths --allow_symlinks --signature --use_staging --trust_config --use_ambient_credentials --identity_token --oauth_force_oob --client_id --client_secret",
	"sign pkcs11-key":         "--ignore-paths --ignore-git-paths --no-ignore-git-paths --allow_symlinks --signature --pkcs11_uri",
	"sign pkcs11-certificate": "--ignore-paths --ignore-git-paths --no-ignore-git-paths --allow_symlinks --signature --pkcs11_uri --signing_certificate --certificate_chain",
	"verify key":              "--signature --ignore-paths --ignore-git-paths --no-ignore-git-paths --allow_symlinks --public_key --ignore_unsigned_files --no-ignore_unsigned_files",
	"verify certificate":      "--signature --ignore-paths --ignore-git-paths --no-ignore-git-paths --allow_symlinks --certificate_chain --log_fingerprints --ignore_unsigned_files --no-ignore_unsigned_files",
	"verify sigstore":         "--signature --ignore-paths --ignore-git-paths --no-ignore-git-paths --allow_symlinks --use_staging --trust_config --identity --identity_provider --ignore_unsigned_files --no-ignore_unsigned_files",
	"digest":                  "--ignore-paths --ignore-git-paths --no-ignore-git-paths --allow-symlinks", // of its repository; 1.1.1 has no such verb
}

// TestTheirFlags parses every flag of model_signing, in both spellings, with
// the method that it is for.
func TestTheirFlags(t *testing.T) {
	for command, flags := range theirFlags {
		verb, method, _ := strings.Cut(command, " ")
		for flag := range strings.FieldsSeq(flags) {
			for _, spelling := range []string{flag, "--" + strings.ReplaceAll(flag[2:], "-", "_"), "--" + strings.ReplaceAll(flag[2:], "_", "-")} {
				root := (&app{}).root()
				cmd, rest, err := root.Find([]string{verb, spelling})
				if err != nil {
					t.Fatal(err)
				}
				if f := cmd.Flags().Lookup(strings.TrimPrefix(spelling, "--")); f != nil && f.NoOptDefVal == "" {
					rest = append(rest, "1")
				}
				if err := cmd.ParseFlags(rest); err != nil {
					t.Errorf("%s: %v", command, err)
					continue
				}
				of := signingMethods
				if verb == "verify" {
					of = verifyingMethods
				}
				if err := goesWith(cmd, method, of); err != nil && verb != "digest" {
					t.Errorf("%s: %v", command, err)
				}
			}
		}
	}
}
