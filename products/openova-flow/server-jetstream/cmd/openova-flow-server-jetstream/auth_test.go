package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/internal/natstest"
)

func write(t *testing.T, dir, name string, text []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// authority is a certificate authority of a test.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{dir: t.TempDir()}
	a.issue(t, "ca")
	return a
}

// issue writes NAME.crt and NAME.key. The first certificate is that of the authority.
func (a *authority) issue(t *testing.T, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: a.cert == nil,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, signer := a.cert, a.key
	if a.cert == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert == nil {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		a.key = key
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, a.dir, name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, a.dir, name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// credentials returns the configuration of a NATS server with an operator, and the credentials file of a user in its only account for users.
func credentials(t *testing.T) (conf string, creds []byte) {
	t.Helper()
	pair := func(make func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		k, err := make()
		if err != nil {
			t.Fatal(err)
		}
		public, err := k.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return k, public
	}
	operator, operatorID := pair(nkeys.CreateOperator)
	account, accountID := pair(nkeys.CreateAccount)
	_, systemID := pair(nkeys.CreateAccount)
	user, userID := pair(nkeys.CreateUser)
	sign := func(c interface {
		Encode(nkeys.KeyPair) (string, error)
	}, by nkeys.KeyPair) string {
		text, err := c.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	ac := jwt.NewAccountClaims(accountID)
	ac.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	creds, err = jwt.FormatUserConfig(sign(jwt.NewUserClaims(userID), account), seed)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: { %s: %s, %s: %s }\n",
		sign(jwt.NewOperatorClaims(operatorID), operator), systemID, accountID, sign(ac, operator), systemID, sign(jwt.NewAccountClaims(systemID), operator)), creds
}

func TestMain(m *testing.M) { natstest.Main(m) }

func TestRun_AuthenticatesToNATS(t *testing.T) {
	ca := newAuthority(t)
	ca.issue(t, "server")
	ca.issue(t, "client")
	in := func(name string) string { return filepath.Join(ca.dir, name) }
	secret := write(t, ca.dir, "secret", []byte("s3cret!\n"))
	operatorConf, creds := credentials(t)
	tls := fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q", in("server.crt"), in("server.key"), in("ca.crt"))
	for name, tt := range map[string]struct {
		conf string
		args []string
	}{
		"user and password, over TLS": {tls + " }\nauthorization { user: flow, password: \"s3cret!\" }", []string{"--nats-user=flow", "--nats-password-file=" + secret, "--nats-ca-file=" + in("ca.crt")}},
		"token":                       {"authorization { token: \"s3cret!\" }", []string{"--nats-token-file=" + secret}},
		"certificate":                 {tls + ", verify: true }", []string{"--nats-ca-file=" + in("ca.crt"), "--nats-cert-file=" + in("client.crt"), "--nats-key-file=" + in("client.key")}},
		"credentials":                 {operatorConf, []string{"--nats-creds-file=" + write(t, ca.dir, "user.creds", creds)}},
	} {
		t.Run(name, func(t *testing.T) {
			n := natstest.StartWith(t, 1, tt.conf)
			url, stop := launch(t, append(tt.args, "--nats-url="+n.URL())...)
			resp, err := http.Post(url+"/v1/flows/F/events", "application/json", strings.NewReader(`{"type":"upsert-nodes","nodes":[{"id":"a","flowId":"F","label":"l","status":"x"}]}`))
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Error(resp, err)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
