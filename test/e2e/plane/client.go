package plane

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// Object is a Kubernetes object.
type Object = map[string]any

// Client talks to an API server as one user.
type Client struct {
	base, token string
	http        *http.Client
}

// StatusError is a failed response of an API server.
type StatusError struct {
	Code    int
	Message string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

// IsCode reports whether err is or wraps a response of an API server with this status code.
func IsCode(err error, code int) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Code == code
}

// Content types of a request.
const (
	JSON       = "application/json"
	JSONPatch  = "application/json-patch+json"
	ServerSide = "application/apply-patch+yaml"
)

// Do sends a request with body: a []byte as it is, nil as no body, any other value as JSON. The returned object is nil if the
// response is not a JSON object. A failed response is a *StatusError.
func (c *Client) Do(ctx context.Context, method, path, contentType string, body any) (Object, error) {
	code, answer, err := c.do(ctx, method, path, contentType, body)
	if err != nil {
		return nil, err
	}
	var o Object
	if err := json.Unmarshal(answer, &o); err != nil {
		o = nil
	}
	if code >= 300 {
		message, ok := o["message"].(string)
		if !ok {
			message = string(answer)
		}
		return o, &StatusError{code, message}
	}
	return o, nil
}

// Text returns the body of the response to a GET. Any status but 200 is a *StatusError.
func (c *Client) Text(ctx context.Context, path string) (string, error) {
	code, answer, err := c.do(ctx, http.MethodGet, path, "", nil)
	if err == nil && code != http.StatusOK {
		err = &StatusError{code, string(answer)}
	}
	return string(answer), err
}

func (c *Client) do(ctx context.Context, method, path, contentType string, body any) (code int, answer []byte, err error) {
	raw, ok := body.([]byte)
	if !ok && body != nil {
		if raw, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(raw))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// resources has the kinds in the tests, with the path of their group and their plural.
var resources = map[string]struct{ group, plural string }{
	"HelmRelease":              {"/apis/helm.toolkit.fluxcd.io/v2", "helmreleases"},
	"Kustomization":            {"/apis/kustomize.toolkit.fluxcd.io/v1", "kustomizations"},
	"HelmChart":                {"/apis/source.toolkit.fluxcd.io/v1", "helmcharts"},
	"HelmRepository":           {"/apis/source.toolkit.fluxcd.io/v1", "helmrepositories"},
	"OCIRepository":            {"/apis/source.toolkit.fluxcd.io/v1", "ocirepositories"},
	"GitRepository":            {"/apis/source.toolkit.fluxcd.io/v1", "gitrepositories"},
	"Bucket":                   {"/apis/source.toolkit.fluxcd.io/v1", "buckets"},
	"Namespace":                {"/api/v1", "namespaces"},
	"Secret":                   {"/api/v1", "secrets"},
	"ServiceAccount":           {"/api/v1", "serviceaccounts"},
	"Lease":                    {"/apis/coordination.k8s.io/v1", "leases"},
	"ClusterRole":              {"/apis/rbac.authorization.k8s.io/v1", "clusterroles"},
	"ClusterRoleBinding":       {"/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"},
	"Role":                     {"/apis/rbac.authorization.k8s.io/v1", "roles"},
	"RoleBinding":              {"/apis/rbac.authorization.k8s.io/v1", "rolebindings"},
	"CustomResourceDefinition": {"/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"},
}

// Path returns the path of a kind: of all objects, those in a namespace, or one. It panics for a kind that the tests do not use.
func Path(kind, namespace, name string) string {
	r, ok := resources[kind]
	if !ok {
		panic("plane: no path is known for " + kind)
	}
	path := r.group
	if namespace != "" {
		path += "/namespaces/" + url.PathEscape(namespace)
	}
	path += "/" + r.plural
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	return path
}

// List returns all objects of a kind in all namespaces.
func (c *Client) List(ctx context.Context, kind string) ([]Object, error) {
	answer, err := c.Do(ctx, http.MethodGet, Path(kind, "", ""), "", nil)
	if err != nil {
		return nil, err
	}
	items, _ := answer["items"].([]any)
	list := make([]Object, 0, len(items))
	for _, item := range items {
		o, ok := item.(Object)
		if !ok {
			return nil, fmt.Errorf("an item in the list of %s is not an object", kind)
		}
		list = append(list, o)
	}
	return list, nil
}

// Watch calls each with the JSON of every event of a kind in all namespaces, starting with the existing objects, until ctx ends or the API server
// closes the watch. The JSON is valid only during the call. A failed response is a *StatusError.
func (c *Client) Watch(ctx context.Context, kind string, each func(event []byte)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+Path(kind, "", "")+"?watch=1", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.http.Transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(res.Body)
		return &StatusError{res.StatusCode, string(answer)}
	}
	events := bufio.NewScanner(res.Body)
	events.Buffer(nil, 16<<20)
	for events.Scan() {
		each(events.Bytes())
	}
	return events.Err()
}

// ApplyFile applies every object of a manifest, after replacing each pair (old, new).
func (c *Client) ApplyFile(ctx context.Context, file string, replace ...string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := strings.NewReplacer(replace...).Replace(string(raw))
	for doc := range strings.SplitSeq("\n"+text, "\n---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		var o struct {
			Kind     string `json:"kind"`
			Metadata struct {
				Name      string `json:"name"`
				Namespace string `json:"namespace"`
			} `json:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		path := Path(o.Kind, o.Metadata.Namespace, o.Metadata.Name) + "?fieldManager=e2e&force=true"
		if _, err := c.Do(ctx, http.MethodPatch, path, ServerSide, []byte(doc)); err != nil {
			return fmt.Errorf("%s: %s %s: %w", file, o.Kind, o.Metadata.Name, err)
		}
	}
	return nil
}

// Token creates the Secret boundTo, and returns a token for a service account. The token is valid while the Secret exists, for at most an hour.
func (c *Client) Token(ctx context.Context, namespace, account, boundTo string) (string, error) {
	secret, err := c.Do(ctx, http.MethodPost, Path("Secret", namespace, ""), JSON,
		Object{"apiVersion": "v1", "kind": "Secret", "metadata": Object{"name": boundTo}})
	if err != nil {
		return "", err
	}
	uid := secret["metadata"].(Object)["uid"]
	answer, err := c.Do(ctx, http.MethodPost, Path("ServiceAccount", namespace, account)+"/token", JSON, Object{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		"spec": Object{"expirationSeconds": 3600, "boundObjectRef": Object{"apiVersion": "v1", "kind": "Secret", "name": boundTo, "uid": uid}}})
	if err != nil {
		return "", err
	}
	status, _ := answer["status"].(Object)
	token, _ := status["token"].(string)
	if token == "" {
		return "", fmt.Errorf("create a token for %s/%s: the answer has none", namespace, account)
	}
	return token, nil
}
