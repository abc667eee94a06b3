package keyless

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// ErrNoIdentity is that of a machine that has no identity to offer.
var ErrNoIdentity = errors.New("no ambient identity")

// Ambient is the identity of the machine, job or service that the program runs
// as. It is looked for in this order:
//
//   - SIGSTORE_ID_TOKEN, which is how GitLab hands out tokens (id_tokens with
//     aud: sigstore), and what any other system can set;
//   - the file /var/run/sigstore/cosign/oidc-token, where Kubernetes can mount
//     one;
//   - GitHub Actions, for jobs with the permission id-token: write;
//   - Buildkite, by the agent's API;
//   - Google Cloud, by the metadata server.
//
// Fields are for tests and unusual places; zero values are right.
type Ambient struct {
	Audience string              // whom the token is for; empty is sigstore
	Getenv   func(string) string // nil is os.Getenv
	File     string              // instead of the file above
}

// source is one place that a token may come from.
type source struct {
	name string
	here func(Ambient) bool
	get  func(context.Context, Ambient) (string, error)
}

var sources = []source{
	{"SIGSTORE_ID_TOKEN", func(a Ambient) bool { return a.Getenv("SIGSTORE_ID_TOKEN") != "" },
		func(_ context.Context, a Ambient) (string, error) { return a.Getenv("SIGSTORE_ID_TOKEN"), nil }},
	{"a mounted token", func(a Ambient) bool { _, err := os.Stat(a.File); return err == nil },
		func(_ context.Context, a Ambient) (string, error) {
			content, err := os.ReadFile(a.File)
			return string(content), err
		}},
	{"GitHub Actions", func(a Ambient) bool { return a.Getenv("GITHUB_ACTIONS") == "true" }, github},
	{"Buildkite", func(a Ambient) bool { return a.Getenv("BUILDKITE_AGENT_ACCESS_TOKEN") != "" }, buildkite},
	{"Google Cloud", onGoogle, google},
}

// Token gets a token and says where it is from. If there is nowhere one could
// be, the error is ErrNoIdentity.
func (a Ambient) Token(ctx context.Context) (token, from string, err error) {
	a.Audience = cmp.Or(a.Audience, "sigstore")
	a.File = cmp.Or(a.File, "/var/run/sigstore/cosign/oidc-token")
	if a.Getenv == nil {
		a.Getenv = os.Getenv
	}
	for _, s := range sources {
		if !s.here(a) {
			continue
		}
		token, err := s.get(ctx, a)
		if token = strings.TrimSpace(token); err == nil && token == "" {
			err = errors.New("the answer holds no token")
		}
		if err != nil {
			return "", "", fmt.Errorf("identity of %s: %w", s.name, err)
		}
		return token, s.name, nil
	}
	return "", "", &Error{
		Err:  ErrNoIdentity,
		Hint: "there is one in jobs of GitHub Actions, GitLab and Buildkite and on Google Cloud; elsewhere set SIGSTORE_ID_TOKEN or give --identity-token TOKEN",
	}
}

// github asks as documented under "OpenID Connect reference" of GitHub Actions.
func github(ctx context.Context, a Ambient) (string, error) {
	address, secret := a.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), a.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	if address == "" || secret == "" {
		return "", &Error{
			Err:  errors.New("the job may not ask for one"),
			Hint: "give the job the permission: permissions: { id-token: write }",
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	query := u.Query()
	query.Set("audience", a.Audience)
	u.RawQuery = query.Encode()
	var answer struct {
		Value string `json:"value"`
	}
	err = ask(ctx, http.MethodGet, u.String(), http.Header{"Authorization": {"Bearer " + secret}}, nil, &answer)
	return answer.Value, err
}

// buildkite asks as the command buildkite-agent oidc request-token does.
func buildkite(ctx context.Context, a Ambient) (string, error) {
	agent := strings.TrimSuffix(cmp.Or(a.Getenv("BUILDKITE_AGENT_ENDPOINT"), "https://agent.buildkite.com/v3"), "/")
	body, err := json.Marshal(map[string]string{"audience": a.Audience})
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"token"`
	}
	header := http.Header{
		"Authorization": {"Token " + a.Getenv("BUILDKITE_AGENT_ACCESS_TOKEN")},
		"Content-Type":  {"application/json"},
	}
	err = ask(ctx, http.MethodPost, agent+"/jobs/"+url.PathEscape(a.Getenv("BUILDKITE_JOB_ID"))+"/oidc/tokens", header, body, &answer)
	return answer.Token, err
}

// onGoogle tells it by what Cloud Run sets and by what the firmware of virtual
// machines says, so that nobody else's network is asked for a metadata server.
func onGoogle(a Ambient) bool {
	if a.Getenv("GCE_METADATA_HOST") != "" || a.Getenv("K_SERVICE") != "" || a.Getenv("CLOUD_RUN_JOB") != "" {
		return true
	}
	product, err := os.ReadFile("/sys/class/dmi/id/product_name")
	return err == nil && strings.HasPrefix(string(product), "Google")
}

// google asks as documented under "Verify the identity of VM instances".
func google(ctx context.Context, a Ambient) (string, error) {
	host := cmp.Or(a.Getenv("GCE_METADATA_HOST"), "metadata.google.internal")
	address := "http://" + host + "/computeMetadata/v1/instance/service-accounts/default/identity?format=full&audience=" + url.QueryEscape(a.Audience)
	var token string
	err := ask(ctx, http.MethodGet, address, http.Header{"Metadata-Flavor": {"Google"}}, nil, &token)
	return token, err
}

// ask sends a request and reads the answer: JSON into anything but a string.
func ask(ctx context.Context, method, address string, header http.Header, body []byte, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = header
	response, err := (&http.Client{Timeout: timeout}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	switch text, isText := answer.(*string); {
	case err != nil:
		return err
	case response.StatusCode/100 != 2:
		return fmt.Errorf("%s answers %s: %.200s", request.URL.Host, response.Status, content)
	case isText:
		*text = string(content)
		return nil
	}
	return json.Unmarshal(content, answer)
}
