package keyless

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"time"
)

// timeout is how long one request to a service may take.
const timeout = 30 * time.Second

// bound ends requests with a context, where sigstore-go does not.
type bound struct{ ctx context.Context }

func (b bound) RoundTrip(request *http.Request) (*http.Response, error) {
	// The client's own context carries its time limit: both count.
	ctx, cancel := context.WithCancel(request.Context())
	stop := context.AfterFunc(b.ctx, cancel)
	response, err := http.DefaultTransport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		stop()
		cancel()
		return nil, err
	}
	response.Body = boundBody{response.Body, func() { stop(); cancel() }}
	if response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests {
		// sigstore-go closes such a body before it tries again, and reads it
		// when it has tried often enough.
		content, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
		if err := cmp.Or(err, response.Body.Close()); err != nil {
			return nil, err
		}
		response.Body = io.NopCloser(bytes.NewReader(content))
	}
	return response, nil
}

// boundBody is a body that ends the watch over its request when it is closed.
type boundBody struct {
	io.ReadCloser
	done func()
}

func (b boundBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}
