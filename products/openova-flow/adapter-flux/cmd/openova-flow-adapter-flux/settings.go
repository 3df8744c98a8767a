package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

type config struct {
	server         string
	flowID         string
	region         string
	namespaces     []string // empty: all
	interval       time.Duration
	postTimeout    time.Duration
	ttl            time.Duration
	healthAddr     string
	tokenFile      string
	caFile         string
	logFormat      string
	logLevel       slog.Level
	leaderElection bool
	podNamespace   string
	podName        string
	kubeconfig     string
	context        string
	inCluster      bool // this process runs in a cluster
}

// setting is a flag and the environment variable for the same value.
type setting struct {
	env      string // empty: only the flag
	flag     string
	fallback string
	shown    string   // text in place of the fallback: a description, or "required"; empty: the fallback
	allowed  string   // allowed values, to follow "must be"
	what     string   // description
	commands []string // commands with this setting
	set      func(*config, string) error
}

var errNotAllowed = errors.New("not allowed")

var (
	all            = []string{"run", "record", "replay"}
	sending        = []string{"run", "replay"}
	withCluster    = []string{"run", "record"}
	runOnly        = []string{"run"}
	validRegion    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	validNamespace = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// settings are all settings, in the order of help.
var settings = []setting{
	{"FLOW_SERVER_URL", "flow-server-url", "", "required", "an absolute URL, http://host or https://host, without user, query and fragment",
		"The flow server to report to.", sending,
		func(c *config, v string) error { c.server = v; return check(validURL(v)) }},
	{"FLOW_ID", "flow-id", "", "required", flow.IDSyntax, "The flow that this cluster is part of.", sending,
		func(c *config, v string) error { c.flowID = v; return check(flow.ValidID(v)) }},
	{"REGION_KEY", "region-key", "primary", "", "lower-case letters, digits and -, beginning and ending with a letter or digit",
		"The name of this cluster in the flow. Its node ids begin with it.", runOnly,
		func(c *config, v string) error { c.region = v; return check(validRegion.MatchString(v)) }},
	{"NAMESPACE_FILTER", "namespaces", "", "all", "namespaces separated by commas, or empty for all",
		"The namespaces to watch.", all, setNamespaces},
	{"EMIT_INTERVAL", "emit-interval", "200ms", "", "a duration such as 200ms, from 1ms to 1m", "The minimum time between two POSTs under load; a tenth of it while little changes. Changes in between are sent together.", sending,
		func(c *config, v string) error { return setDuration(&c.interval, v, time.Millisecond, time.Minute) }},
	{"POST_TIMEOUT", "post-timeout", "10s", "", "a duration such as 10s, from 10ms to 10m", "How long to wait for the answer to a POST.", sending,
		func(c *config, v string) error {
			return setDuration(&c.postTimeout, v, 10*time.Millisecond, 10*time.Minute)
		}},
	{"REGION_TTL", "region-ttl", "30s", "", "whole seconds such as 30s, from 5s to 1h", "How long the region stays current on the flow server after its claim was renewed. The adapter renews the claim after a third of this time.", sending,
		func(c *config, v string) error {
			err := setDuration(&c.ttl, v, 5*time.Second, time.Hour)
			return cmp.Or(err, check(c.ttl%time.Second == 0))
		}},
	{"FLOW_TOKEN_FILE", "flow-token-file", "", "none", "the path of a file", "A file with the bearer token for the flow server, read for each request.", sending,
		func(c *config, v string) error { c.tokenFile = v; return nil }},
	{"FLOW_CA_FILE", "flow-ca-file", "", "the system's", "the path of a file", "A PEM file with the CAs for the flow server's certificate, read for each request.", sending,
		func(c *config, v string) error { c.caFile = v; return nil }},
	{"HEALTH_LISTEN_ADDR", "health-listen-addr", "", ":8081 in a cluster, else 127.0.0.1:8081", "host:port, :port or off", "The address that serves /healthz, /readyz and /metrics.", runOnly, setHealth},
	{"LEADER_ELECTION", "leader-election", "", "true in a cluster, else false", "true or false",
		"Whether the adapters of a cluster elect one that reports, with a Lease.", runOnly, setLeaderElection},
	{"POD_NAMESPACE", "pod-namespace", "flux-system", "", "the name of a namespace", "The namespace of the Lease.", runOnly,
		func(c *config, v string) error { c.podNamespace = v; return check(validNamespace.MatchString(v)) }},
	{"POD_NAME", "pod-name", "", "the host's name", "the name of a pod", "The name of this process in the Lease.", runOnly,
		func(c *config, v string) error { c.podName = v; return nil }},
	{"LOG_FORMAT", "log-format", "json", "", "json or text", "The format of the log on stderr.", all,
		func(c *config, v string) error { c.logFormat = v; return check(v == "json" || v == "text") }},
	{"LOG_LEVEL", "log-level", "info", "", "debug, info, warn or error", "The minimum level that is logged.", all,
		func(c *config, v string) error { return check(c.logLevel.UnmarshalText([]byte(v)) == nil) }},
	{"KUBECONFIG", "kubeconfig", "", "the service account in a cluster, else ~/.kube/config", "the path of a file", "The kubeconfig to reach the cluster from outside.", withCluster,
		func(c *config, v string) error { c.kubeconfig = v; return nil }},
	{"", "context", "", "the current one", "the name of a context; several, separated by commas, for run without FLOW_SERVER_URL", "The context of the kubeconfig.", withCluster,
		func(c *config, v string) error {
			c.context = v
			return check(v == "" || len(contextNames(v)) > 0)
		}},
}

func check(ok bool) error {
	if !ok {
		return errNotAllowed
	}
	return nil
}

func validURL(v string) bool {
	u, err := url.Parse(v)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && !strings.ContainsAny(v, "?#")
}

func validListen(v string) bool {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == port
}

func setDuration(into *time.Duration, v string, least, most time.Duration) (err error) {
	*into, err = time.ParseDuration(v)
	return check(err == nil && *into >= least && *into <= most)
}

func setNamespaces(c *config, v string) error {
	c.namespaces = nil
	if strings.TrimSpace(v) == "" {
		return nil
	}
	for ns := range strings.SplitSeq(v, ",") {
		ns = strings.TrimSpace(ns)
		if !validNamespace.MatchString(ns) {
			return errNotAllowed
		}
		if !slices.Contains(c.namespaces, ns) {
			c.namespaces = append(c.namespaces, ns)
		}
	}
	return nil
}

func setHealth(c *config, v string) error {
	switch {
	case v == "off":
		c.healthAddr = ""
		return nil
	case v == "" && c.inCluster:
		v = ":8081"
	case v == "":
		v = "127.0.0.1:8081"
	}
	c.healthAddr = v
	return check(validListen(v))
}

func setLeaderElection(c *config, v string) error {
	switch v {
	case "":
		c.leaderElection = c.inCluster
	case "true", "false":
		c.leaderElection = v == "true"
	default:
		return errNotAllowed
	}
	return nil
}

var errHelp = errors.New("help requested")

// reader reads the settings of a command: from a flag, else from the environment.
type reader struct {
	*flag.FlagSet
	command string
	getenv  func(string) (string, bool)
	values  map[string]*string // by flag
}

func newReader(command string, getenv func(string) (string, bool)) *reader {
	r := &reader{flag.NewFlagSet(command, flag.ContinueOnError), command, getenv, map[string]*string{}}
	r.SetOutput(io.Discard)
	for _, s := range settings {
		if !slices.Contains(s.commands, command) {
			continue
		}
		value := s.fallback
		if v, ok := getenv(s.env); ok && s.env != "" && v != "" {
			value = v
		}
		r.values[s.flag] = r.String(s.flag, value, s.what)
	}
	return r
}

// isSet reports whether a setting was set explicitly, by its flag or by a variable that is not empty.
func (r *reader) isSet(flagName string) (yes bool) {
	r.Visit(func(f *flag.Flag) { yes = yes || f.Name == flagName })
	for _, s := range settings {
		if s.flag == flagName && s.env != "" {
			v, ok := r.getenv(s.env)
			yes = yes || ok && v != ""
		}
	}
	return yes
}

// read parses args, then checks every setting of the command; the error has a line for each invalid one. Settings in optional may be empty although they
// are required.
func (r *reader) read(args []string, optional ...string) (config, error) {
	if err := r.Parse(args); errors.Is(err, flag.ErrHelp) {
		return config{}, errHelp
	} else if err != nil {
		return config{}, fmt.Errorf("%s: %w (openova-flow-adapter-flux help lists the flags)", r.command, terminal.FlagError(err))
	}
	host, _ := r.getenv("KUBERNETES_SERVICE_HOST")
	c := config{inCluster: host != ""}
	var wrong []error
	for _, s := range settings {
		value, ok := r.values[s.flag]
		if !ok || *value == "" && slices.Contains(optional, s.env) {
			continue
		}
		name := cmp.Or(s.env, "--"+s.flag)
		switch err := s.set(&c, *value); {
		case err != nil && *value == "" && s.shown == "required":
			wrong = append(wrong, fmt.Errorf("%s is not set: it must be %s", name, s.allowed))
		case err != nil && terminal.Secret(*value):
			wrong = append(wrong, fmt.Errorf("%s %s: it must be %s", name, terminal.HiddenSecret, s.allowed))
		case err != nil:
			wrong = append(wrong, fmt.Errorf("%s is %.200q: it must be %s", name, *value, s.allowed))
		}
	}
	return c, errors.Join(wrong...)
}

func (c config) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.logLevel, ReplaceAttr: terminal.Attr}
	if c.logFormat == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
