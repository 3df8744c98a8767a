package plane

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// adminToken is the token of the tests' user, who has all permissions.
const adminToken = "admin"

// Plane is a control plane.
type Plane struct {
	Addr string // address of its API server
	kit  Kit
	dir  string
	logs string
	etcd *Process
	url  string // URL of etcd
	api  *Process
}

// New starts a control plane with its state in dir and its logs in logs. Call Stop.
func New(ctx context.Context, kit Kit, dir, logs string) (*Plane, error) {
	p := &Plane{kit: kit, dir: dir, logs: logs}
	if err := p.start(ctx); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

func (p *Plane) start(ctx context.Context) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(p.path("sa.key"), block, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(p.path("tokens.csv"), []byte(adminToken+",admin,admin,system:masters\n"), 0o600); err != nil {
		return err
	}
	client, err := FreeAddr()
	if err != nil {
		return err
	}
	peer, err := FreeAddr()
	if err != nil {
		return err
	}
	if p.Addr, err = FreeAddr(); err != nil {
		return err
	}
	p.url = "http://" + client
	p.etcd, err = Start(filepath.Join(p.logs, "etcd.log"), nil, p.kit.Etcd, "--data-dir="+p.path("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+p.url, "--advertise-client-urls="+p.url, "--listen-peer-urls=http://"+peer,
		"--initial-advertise-peer-urls=http://"+peer, "--initial-cluster=default=http://"+peer)
	if err != nil {
		return err
	}
	return p.StartAPI(ctx)
}

func (p *Plane) path(name string) string { return filepath.Join(p.dir, name) }

// StartAPI starts the API server and returns when it is ready.
func (p *Plane) StartAPI(ctx context.Context) (err error) {
	p.api, err = p.serve(ctx, p.Addr, "kube-apiserver.log")
	return err
}

// KillAPI kills the API server. etcd keeps running.
func (p *Plane) KillAPI() { p.api.Kill() }

// BackDoor starts another API server on the same etcd, for changes while the one at Addr is killed. Call closed when done.
func (p *Plane) BackDoor(ctx context.Context) (c *Client, closed func(), err error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, nil, err
	}
	api, err := p.serve(ctx, addr, "kube-apiserver-back-door.log")
	if err != nil {
		return nil, nil, err
	}
	return p.client(addr, adminToken), api.Kill, nil
}

func (p *Plane) serve(ctx context.Context, addr, log string) (*Process, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	api, err := Start(filepath.Join(p.logs, log), nil, p.kit.APIServer, "--etcd-servers="+p.url, "--bind-address=127.0.0.1", "--secure-port="+port,
		"--advertise-address=127.0.0.1", "--cert-dir="+p.path("certs"), "--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+p.path("sa.key"),
		"--service-account-signing-key-file="+p.path("sa.key"), "--token-auth-file="+p.path("tokens.csv"), "--authorization-mode=RBAC",
		"--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none")
	if err != nil {
		return nil, err
	}
	client := p.client(addr, adminToken)
	err = Wait(ctx, time.Minute, func() error {
		select {
		case <-api.Ended():
			return fmt.Errorf("kube-apiserver has ended, see %s", api.Log)
		default:
		}
		_, err := client.Do(ctx, http.MethodGet, "/readyz", "", nil)
		return err
	})
	if err != nil {
		api.Kill()
		return nil, fmt.Errorf("kube-apiserver is not ready: %w", err)
	}
	return api, nil
}

// Stop stops the plane.
func (p *Plane) Stop() {
	for _, process := range []*Process{p.api, p.etcd} {
		if process != nil {
			process.Kill()
		}
	}
}

// Compact makes etcd forget all earlier revisions.
func (p *Plane) Compact(ctx context.Context) error {
	var status struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	if err := p.ask(ctx, "/v3/maintenance/status", `{}`, &status); err != nil {
		return err
	}
	return p.ask(ctx, "/v3/kv/compaction", `{"physical":true,"revision":"`+status.Header.Revision+`"}`, &struct{}{})
}

func (p *Plane) ask(ctx context.Context, path, body string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd: %s: %s: %s", path, res.Status, answer)
	}
	return json.Unmarshal(answer, into)
}

// Admin returns a client with all permissions.
func (p *Plane) Admin() *Client { return p.client(p.Addr, adminToken) }

// As returns a client with a token.
func (p *Plane) As(token string) *Client { return p.client(p.Addr, token) }

func (p *Plane) client(addr, token string) *Client {
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxIdleConnsPerHost: 32, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // the test's own client, on loopback
	return &Client{base: "https://" + addr, token: token, http: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
}

// Kubeconfig writes a kubeconfig with a context for each entry. The first one is current.
func Kubeconfig(file string, entries ...Entry) error {
	if len(entries) == 0 {
		return errors.New("a kubeconfig needs an entry")
	}
	var clusters, users, contexts []any
	for _, e := range entries {
		ca, err := os.ReadFile(e.Plane.path("certs/apiserver.crt"))
		if err != nil {
			return err
		}
		clusters = append(clusters, named(e.Name, "cluster", map[string]any{
			"server": "https://" + e.Addr, "certificate-authority-data": base64.StdEncoding.EncodeToString(ca)}))
		users = append(users, named(e.Name, "user", map[string]any{"tokenFile": e.TokenFile}))
		contexts = append(contexts, named(e.Name, "context", map[string]any{"cluster": e.Name, "user": e.Name}))
	}
	raw, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Config", "current-context": entries[0].Name,
		"clusters": clusters, "users": users, "contexts": contexts})
	if err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o600)
}

// Entry is a context of a kubeconfig.
type Entry struct {
	Name      string
	Plane     *Plane
	Addr      string // address of the plane's API server, or of a proxy
	TokenFile string
}

func named(name, key string, value any) map[string]any {
	return map[string]any{"name": name, key: value}
}

// Wait calls try, at most 20 times a second, until it returns nil. If that takes longer than within, or ctx ends, the error of Wait wraps the last error of
// try.
func Wait(ctx context.Context, within time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not within %v: %w", within, err)
		}
	}
}
