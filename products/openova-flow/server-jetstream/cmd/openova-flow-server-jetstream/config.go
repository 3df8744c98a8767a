package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natslog"
	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natsserver"
	"github.com/openova-io/openova/products/openova-flow/server/app"
	"github.com/openova-io/openova/products/openova-flow/server/cli"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// config has the settings of this program besides those of all servers.
type config struct {
	url                                          string
	credsFile, user, passwordFile, natsTokenFile string
	caFile, certFile, keyFile                    string
	dataDir                                      string
	sync                                         time.Duration // 0: always
	name                                         string
	replicas                                     int
}

func (c *config) settings() []cli.Setting {
	text := func(to *string) func(string) error {
		return func(v string) error { *to = v; return nil }
	}
	file := func(to *string) func(string) error {
		return func(v string) error {
			*to = v
			f, err := os.Open(v)
			if err != nil {
				return err
			}
			return f.Close()
		}
	}
	return []cli.Setting{
		{Env: "NATS_URL", Allowed: "URLs such as nats://nats-0:4222, also tls:// or wss://, separated by commas and without a user", Help: "NATS servers with JetStream that store the flows; without it the process runs a NATS server of its own in FLOW_SERVER_DATA_DIR", Set: c.setURL},
		{Env: "NATS_CREDS_FILE", Allowed: "a credentials file made by nsc, with a user's JWT and seed", Help: "NATS credentials; default: no authentication", Set: file(&c.credsFile)},
		{Env: "NATS_USER", Allowed: "a name, together with NATS_PASSWORD_FILE", Help: "NATS user name; default: no authentication", Set: text(&c.user)},
		{Env: "NATS_PASSWORD_FILE", Allowed: "a file that contains only the password of NATS_USER", Help: "NATS password; read at each connection", Set: file(&c.passwordFile)},
		{Env: "NATS_TOKEN_FILE", Allowed: "a file that contains only a token", Help: "NATS token; read at each connection; default: no authentication", Set: file(&c.natsTokenFile)},
		{Env: "NATS_CA_FILE", Allowed: "a file with PEM certificates", Help: "certificate authorities for the certificates of the NATS servers; default: those of the system", Set: file(&c.caFile)},
		{Env: "NATS_CERT_FILE", Allowed: "a file with a PEM certificate, together with NATS_KEY_FILE", Help: "client certificate for NATS; read at each connection; default: no client certificate", Set: file(&c.certFile)},
		{Env: "NATS_KEY_FILE", Allowed: "a file with a PEM private key, together with NATS_CERT_FILE", Help: "private key of the client certificate", Set: file(&c.keyFile)},
		{Env: "FLOW_SERVER_DATA_DIR", Allowed: "a directory that no other server uses; required without NATS_URL", Help: "directory of the NATS server in the process", Set: text(&c.dataDir)},
		{Env: "FLOW_SERVER_SYNC", Default: "always", Allowed: "always, or a duration from 10ms to 1h", Help: "when the NATS server in the process syncs to disk: always before a change is acknowledged, or at an interval. With an interval a power failure loses the changes acknowledged since the last sync; a crash of the process loses nothing", Set: c.setSync},
		{Env: "FLOW_SERVER_STREAM_NAME", Default: "openova-flow", Allowed: "1 to 32 characters of a-z 0-9 and -, starting with a letter", Help: "name prefix of the stream, its subjects and its bucket; servers with the same prefix are replicas of each other", Set: c.setName},
		{Env: "FLOW_SERVER_STREAM_REPLICAS", Default: "1", Allowed: "1, 3 or 5; 1 without NATS_URL", Help: "copies of the stream and the bucket, each on another NATS server", Set: c.setReplicas},
	}
}

func (c *config) setURL(v string) error {
	c.url = v
	if terminal.Secret(v) { // credentials belong in files: a URL is visible to others, and logged
		return cli.ErrNotAllowed
	}
	for one := range strings.SplitSeq(v, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil {
			return err
		}
		if u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return fmt.Errorf("%q is not a URL of a NATS server", one)
		}
	}
	return nil
}

func (c *config) setSync(v string) error {
	if v == "always" {
		c.sync = 0
		return nil
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		return err
	}
	if d < 10*time.Millisecond || d > time.Hour {
		return cli.ErrNotAllowed
	}
	c.sync = d
	return nil
}

func (c *config) setName(v string) error {
	c.name = v
	if len(v) > 32 || v[0] < 'a' || v[0] > 'z' || strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return cli.ErrNotAllowed
	}
	return nil
}

func (c *config) setReplicas(v string) error {
	switch v {
	case "1", "3", "5":
		c.replicas = int(v[0] - '0')
		return nil
	}
	return cli.ErrNotAllowed
}

// check rejects settings that contradict each other, or of which one is missing.
func (c *config) check(a *app.Config) error {
	credentials := 0
	for _, set := range []bool{c.credsFile != "", c.user != "", c.natsTokenFile != ""} {
		if set {
			credentials++
		}
	}
	switch {
	case a.StateFile != "":
		return errors.New("FLOW_SERVER_STATE_FILE is set, but this program stores flows in JetStream; unset it")
	case (c.user == "") != (c.passwordFile == ""):
		return errors.New("NATS_USER and NATS_PASSWORD_FILE go together; set both or neither")
	case (c.certFile == "") != (c.keyFile == ""):
		return errors.New("NATS_CERT_FILE and NATS_KEY_FILE go together; set both or neither")
	case credentials > 1:
		return errors.New("more than one of NATS_CREDS_FILE, NATS_USER and NATS_TOKEN_FILE is set; set one of them")
	case c.url == "" && c.dataDir == "":
		return errors.New("neither NATS_URL nor FLOW_SERVER_DATA_DIR is set; set the URL of the NATS servers, or a directory for a NATS server in the process")
	case c.url == "" && credentials+len(c.caFile)+len(c.certFile) > 0:
		return errors.New("credentials or certificates for NATS are set, but NATS_URL is not set; set it, or unset them")
	case c.url == "" && c.replicas != 1:
		return fmt.Errorf("FLOW_SERVER_STREAM_REPLICAS is %d, but there is only one NATS server in the process; set NATS_URL, or set it to 1", c.replicas)
	}
	return nil
}

// prepare connects to NATS, or starts a NATS server in the process, and creates the log.
func (c *config) prepare(ctx context.Context, a *app.Config) (release func(), err error) {
	if err := c.check(a); err != nil {
		return nil, err
	}
	cfg := natslog.Config{Name: c.name, Replicas: c.replicas, RingCapacity: a.Hub.RingCapacity, RingBytes: a.Hub.RingBytes, Logger: a.Logger}
	if c.url == "" {
		return c.embed(ctx, a, cfg)
	}
	if cfg.Conn, err = c.connect(a.Logger); err != nil {
		return nil, err
	}
	log, err := natslog.New(cfg)
	if err != nil {
		cfg.Conn.Close()
		return nil, err
	}
	a.Log = log
	return cfg.Conn.Close, nil
}

// maxPayload is the default max_pending of NATS, which max_payload must not exceed.
const maxPayload = 64 << 20

// embed starts a NATS server in the process.
func (c *config) embed(ctx context.Context, a *app.Config, cfg natslog.Config) (_ func(), err error) {
	if err := os.MkdirAll(c.dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("create FLOW_SERVER_DATA_DIR %q: %w", c.dataDir, err)
	}
	var undo []func()
	release := func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	unlock, err := lock(c.dataDir)
	if err != nil {
		return nil, fmt.Errorf("use FLOW_SERVER_DATA_DIR %q: %w", c.dataDir, err)
	}
	undo = append(undo, unlock)
	w, err := openWatermark(filepath.Join(c.dataDir, "acknowledged"))
	if err != nil {
		return nil, fmt.Errorf("use FLOW_SERVER_DATA_DIR %q: %w", c.dataDir, err)
	}
	undo = append(undo, w.close)
	e := &embedded{dir: c.dataDir, logger: a.Logger}
	undo = append(undo, e.setAside)
	s, err := natsserver.Start(ctx, natsserver.Config{Dir: c.dataDir, SyncInterval: c.sync, Logger: a.Logger,
		MaxPayload: int32(min(a.HTTP.MaxBatchBytes+a.HTTP.MaxBatchBytes/8+1<<20, maxPayload))})
	if err != nil {
		return nil, fmt.Errorf("use FLOW_SERVER_DATA_DIR %q: %w", c.dataDir, err)
	}
	undo = append(undo, s.Stop)
	if cfg.Conn, err = s.Connect(); err != nil {
		return nil, fmt.Errorf("connect to the NATS server in the process: %w", err)
	}
	undo = append(undo, cfg.Conn.Close)
	cfg.Acknowledged, cfg.OnAcknowledged, cfg.OnRejected = w.seq, w.raise, e.needsRestart
	if e.Log, err = natslog.New(cfg); err != nil {
		return nil, err
	}
	a.Log = e
	return release, nil
}

func (c *config) connect(log *slog.Logger) (*nats.Conn, error) {
	conn, err := nats.Connect(c.url, c.options(log)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS_URL %q: %w", c.url, err)
	}
	return conn, nil
}

// options returns the options of the connection to NATS_URL.
func (c *config) options(log *slog.Logger) []nats.Option {
	var lastErr atomic.Value
	lastErr.Store("")
	options := []nats.Option{
		nats.Name("openova-flow-server-jetstream"), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond), nats.Timeout(3 * time.Second),
		nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1), // publishing without a connection fails, instead of being buffered until nobody waits for it
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("NATS connection lost", "err", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			if text := err.Error(); text != lastErr.Swap(text) { // log an error when it changes, not at each attempt
				log.Warn("NATS connection failed, retrying", "err", err)
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			lastErr.Store("")
			log.Info("connected to NATS", "server", conn.ConnectedServerName())
		}),
	}
	secret := func(file string) string {
		b, err := os.ReadFile(file)
		if err != nil {
			log.Error("NATS credentials not readable", "err", err)
		}
		return strings.TrimSpace(string(b))
	}
	switch {
	case c.credsFile != "":
		options = append(options, nats.UserCredentials(c.credsFile))
	case c.user != "":
		options = append(options, nats.UserInfoHandler(func() (string, string) { return c.user, secret(c.passwordFile) }))
	case c.natsTokenFile != "":
		options = append(options, nats.TokenHandler(func() string { return secret(c.natsTokenFile) }))
	}
	if c.caFile != "" {
		options = append(options, nats.RootCAs(c.caFile))
	}
	if c.certFile != "" {
		options = append(options, nats.ClientCert(c.certFile, c.keyFile))
	}
	return options
}
