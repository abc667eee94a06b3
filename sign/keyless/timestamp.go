package keyless

import (
	"context"
	"errors"
	"fmt"
	"time"

	sigstore "github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/tensmith/tensmith/sign"
)

// Stamp is the timestamp authority at an address, the path of its endpoint
// included. It is sent no more than a signature's SHA-256, and answers with a
// TimeStampResp of RFC 3161, DER, which [Trust.Time] verifies.
func Stamp(address string) sign.Stamp {
	return func(ctx context.Context, signature []byte) ([]byte, error) {
		token, err := authority(ctx, address).GetTimestamp(ctx, signature)
		if err == nil {
			return token, nil
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("timestamp authority %s: %w", address, err)
	}
}

func authority(ctx context.Context, address string) *sigstore.TimestampAuthority {
	return sigstore.NewTimestampAuthority(&sigstore.TimestampAuthorityOptions{URL: address, Timeout: timeout, Retries: 1, Transport: bound{ctx}})
}

// Time verifies a timestamp that is in a bundle: by one of the trust's
// authorities, over the signature. It tells when the signature existed.
func (t *Trust) Time(token, signature []byte) (time.Time, error) {
	var refused []error
	for _, a := range t.root.TimestampingAuthorities() {
		stamp, err := a.Verify(token, signature)
		if err == nil {
			return stamp.Time, nil
		}
		refused = append(refused, err)
	}
	if refused == nil {
		refused = []error{errors.New("it knows no timestamp authority")}
	}
	return time.Time{}, fmt.Errorf("timestamp, by the trusted root (%s): %w", t.Source, errors.Join(refused...))
}
