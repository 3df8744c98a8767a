package emit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	var der []byte
	der, a.key = sign(t, template, template, nil)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a
}

func sign(t *testing.T, template, parent *x509.Certificate, by *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = own
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	return der, own
}

// issue returns a certificate for a host, valid from an hour ago.
func (a *authority) issue(t *testing.T, host string, until time.Time) tls.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: until}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, own := sign(t, template, a.cert, a.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: own}
}

// serve starts a TLS server without flows.
func serve(t *testing.T, cert tls.Certificate, change ...func(*tls.Config)) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answerProblem(w, http.StatusNotFound, problem{}) }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	for _, f := range change {
		f(s.TLS)
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func ask(c *client) error {
	_, _, err := c.snapshot(context.Background(), "", "")
	if err != nil {
		return unanswered(err)
	}
	return nil
}

func TestUnanswered_ErrorNamesTheFailureOfTheConnection(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	hour := time.Now().Add(time.Hour)
	dir := t.TempDir()
	file := func(name, text string) string {
		write(t, filepath.Join(dir, name), text)
		return filepath.Join(dir, name)
	}
	trusted := file("ca.pem", ca.pem)
	good := serve(t, ca.issue(t, "127.0.0.1", hour))
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	mutual := serve(t, ca.issue(t, "127.0.0.1", hour), func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })

	for name, c := range map[string]struct {
		url, ca, wantPart string
	}{
		"valid":                       {good.URL, trusted, ""},
		"unknown authority":           {good.URL, file("other.pem", other.pem), "unknown authority"},
		"no CA file":                  {good.URL, "", "unknown authority"},
		"expired":                     {serve(t, ca.issue(t, "127.0.0.1", time.Now().Add(-time.Minute))).URL, trusted, "expired"},
		"another host":                {serve(t, ca.issue(t, "flow.example", hour)).URL, trusted, "another host"},
		"client certificate required": {mutual.URL, trusted, "TLS: the connection to the flow server was refused"},
		"server without TLS":          {strings.Replace(plain.URL, "http:", "https:", 1), trusted, "does not speak TLS"},
		"CA file without a CA":        {good.URL, file("empty.pem", "nothing"), "FLOW_CA_FILE cannot be used"},
		"absent CA file":              {good.URL, filepath.Join(dir, "absent"), "FLOW_CA_FILE cannot be used"},
		"connection refused":          {"http://127.0.0.1:1", "", "refuses connections"},
		"no answer":                   {"http://" + silent.Addr().String(), "", "did not answer in time"},
		"no such host":                {"http://flow.invalid", "", "DNS"},
	} {
		t.Run(name, func(t *testing.T) {
			timeout := 5 * time.Second
			if name == "no answer" {
				timeout = 20 * time.Millisecond
			}
			cl := newClient(Config{URL: c.url, FlowID: "F", CAFile: c.ca, PostTimeout: timeout})
			defer cl.close()
			err := ask(cl)
			if c.wantPart == "" && err != nil || c.wantPart != "" && (err == nil || !strings.Contains(err.Error(), c.wantPart)) {
				t.Errorf("got %v, want an error with %q", err, c.wantPart)
			}
		})
	}
}

func TestTLS_ChangedCAFileIsUsed(t *testing.T) {
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	file := filepath.Join(t.TempDir(), "ca.pem")
	write(t, file, before.pem)
	old := serve(t, before.issue(t, "127.0.0.1", time.Now().Add(time.Hour)))
	cl := newClient(Config{URL: old.URL, FlowID: "F", CAFile: file, PostTimeout: 5 * time.Second})
	defer cl.close()
	if err := ask(cl); err != nil {
		t.Fatal(err)
	}
	first := cl.transport
	if err := ask(cl); err != nil || cl.transport != first {
		t.Errorf("a new transport without a change, or %v", err)
	}
	renewed := serve(t, after.issue(t, "127.0.0.1", time.Now().Add(time.Hour)))
	cl.base = renewed.URL + "/v1/flows/F"
	if err := ask(cl); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("got %v", err)
	}
	write(t, file, before.pem+after.pem)
	if err := ask(cl); err != nil {
		t.Error(err)
	}
}

func TestRetryAfter_ParsesSecondsAndDates(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-3": 0, "soon": 0, "999999": maxRetryAfter, "99999999999": maxRetryAfter, "-99999999999": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(v, now); got != want {
			t.Errorf("%q: %v, want %v", v, got, want)
		}
	}
}
