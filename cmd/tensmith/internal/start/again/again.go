// Package again is initialised behind sbom, by when three quarters are, and has all
// be given back that was touched until then.
package again

import (
	"github.com/tensmith/tensmith/cmd/tensmith/internal/start"
	_ "github.com/tensmith/tensmith/sbom"
)

var _ = start.Forget()
