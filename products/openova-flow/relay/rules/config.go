package rules

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// Config is the configuration file.
type Config struct {
	Server   Server             `yaml:"server"`
	Page     string             `yaml:"page"` // base URL of the page, for links
	Channels map[string]Channel `yaml:"channels"`
	Rules    []Rule             `yaml:"rules"`
}

// Server is the flow server that is followed.
type Server struct {
	URL       string `yaml:"url"`
	TokenFile string `yaml:"tokenFile"` // of a token with the scope read; default: no authentication
}

// Channel is one service. Exactly one of its fields is set.
type Channel struct {
	Slack        *Slack        `yaml:"slack"`
	Alertmanager *Alertmanager `yaml:"alertmanager"`
	Webhook      *Webhook      `yaml:"webhook"`
	Otel         *Otel         `yaml:"otel"`
	GitHub       *GitHub       `yaml:"github"`
}

// Slack is a channel of a Slack workspace.
type Slack struct {
	Channel   string `yaml:"channel"`   // its id
	TokenFile string `yaml:"tokenFile"` // of a bot token with chat:write, and channels:history or groups:history
	APIURL    string `yaml:"apiURL"`    // default https://slack.com/api/
}

// Alertmanager is a cluster of Alertmanagers.
type Alertmanager struct {
	URLs      []string          `yaml:"urls"`   // of all its members; each gets every alert
	Labels    map[string]string `yaml:"labels"` // added to every alert
	TokenFile string            `yaml:"tokenFile"`
	Resend    Duration          `yaml:"resend"` // how often an open alert is sent again; default 1m
}

// Webhook is any HTTP server.
type Webhook struct {
	URL        string `yaml:"url"`
	SecretFile string `yaml:"secretFile"` // the key of the signature
	TokenFile  string `yaml:"tokenFile"`  // a bearer token, optional
	Format     string `yaml:"format"`     // json (the default) or cloudevents
}

// Otel is an OpenTelemetry collector, or another receiver of traces over OTLP.
type Otel struct {
	URL       string `yaml:"url"`       // without a path
	Protocol  string `yaml:"protocol"`  // grpc (the default) or http
	TokenFile string `yaml:"tokenFile"` // a bearer token, optional
}

// GitHub is one API host, and the repositories on it that get reports.
type GitHub struct {
	APIURL       string       `yaml:"apiURL"` // default https://api.github.com/
	TokenFile    string       `yaml:"tokenFile"`
	Context      string       `yaml:"context"` // of the commit statuses; default openova-flow
	Repositories []Repository `yaml:"repositories"`
}

// Repository is a repository that gets reports on the commits of some sources.
type Repository struct {
	Name    string   `yaml:"name"`    // owner/name
	Sources []string `yaml:"sources"` // URLs of GitRepositories and OCIRepositories
}

// Rule sends some notices to some channels. Empty Flows or Regions do not restrict; empty Kinds leave out revisions only.
type Rule struct {
	Name         string          `yaml:"name"`
	Channels     []string        `yaml:"channels"`
	Flows        []string        `yaml:"flows"` // patterns such as prod-*
	Regions      []string        `yaml:"regions"`
	Kinds        []notice.Kind   `yaml:"kinds"`
	Severity     notice.Severity `yaml:"severity"`     // the least that is opened; default info
	After        *Duration       `yaml:"after"`        // how long something must last before it is opened; default 1m
	ResolveAfter *Duration       `yaml:"resolveAfter"` // how long it must be over before it is resolved; default 1m
	UpdateEvery  *Duration       `yaml:"updateEvery"`  // the least time from a notice to its next update, unless the severity rises; default 30s
	Quiet        *Quiet          `yaml:"quiet"`
}

// Quiet are hours of the day in which nothing is sent, except what Critical allows. Afterwards the notices that are still due are sent.
type Quiet struct {
	From     string   `yaml:"from"`     // when they begin, such as 22:00
	To       string   `yaml:"to"`       // when they end, such as 07:00; on the next day unless it is later than From
	Timezone string   `yaml:"timezone"` // such as Europe/Berlin; default UTC
	Days     []string `yaml:"days"`     // on which they begin, mon to sun; default: every day
	Critical bool     `yaml:"critical"` // during these hours, still send what is opened as critical or becomes critical; not how a rollout or revision ends
}

// Duration is a time.Duration, written as 30s or 5m.
type Duration time.Duration

// UnmarshalYAML reads a duration that is not negative.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	v, err := time.ParseDuration(node.Value)
	if err != nil || v < 0 {
		return fmt.Errorf("line %d: invalid duration %.200q; allowed: a number of s, m or h, such as 30s", node.Line, node.Value)
	}
	*d = Duration(v)
	return nil
}

// or returns the duration, or def if d is nil.
func (d *Duration) or(def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return time.Duration(*d)
}

// Read parses a configuration file.
func Read(file string) (*Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	c, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", file, err)
	}
	return c, nil
}

// Parse reads and checks a configuration. Its error names fields that are invalid.
func Parse(text []byte) (*Config, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	if err := unknownFields(&root, Config{}); err != nil {
		return nil, err
	}
	var c Config
	if err := root.Decode(&c); err != nil {
		return nil, err
	}
	return &c, c.validate()
}

func fault(field, format string, args ...any) error {
	return fmt.Errorf("%s: %w", field, fmt.Errorf(format, args...))
}

func (c *Config) validate() error {
	errs := []error{checkURL("server.url", c.Server.URL)}
	if c.Page != "" {
		errs = append(errs, checkURL("page", c.Page))
	}
	if len(c.Channels) == 0 {
		errs = append(errs, fault("channels", "name at least one channel"))
	}
	for _, name := range sortedKeys(c.Channels) {
		errs = append(errs, c.Channels[name].validate("channels."+name))
		if !validName.MatchString(name) {
			errs = append(errs, fault("channels."+name, "invalid name; allowed: 1 to 63 letters, digits, - and _"))
		}
	}
	if len(c.Rules) == 0 {
		errs = append(errs, fault("rules", "name at least one rule: without one nothing is sent"))
	}
	names := make(map[string]bool)
	for i := range c.Rules {
		field := fmt.Sprintf("rules[%d]", i)
		errs = append(errs, c.Rules[i].validate(field, c.Channels))
		if names[c.Rules[i].Name] {
			errs = append(errs, fault(field+".name", "%q is the name of an earlier rule", c.Rules[i].Name))
		}
		names[c.Rules[i].Name] = true
	}
	return errors.Join(errs...)
}

var (
	validName       = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)
	validRepository = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$`)
	validID         = regexp.MustCompile(`^[CGD][A-Z0-9]{2,20}$`)
)

// checkURL checks the address of a service. Logs show it, so it must not have a user, a query or a fragment.
func checkURL(field, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fault(field, "invalid address; allowed: an http or https URL with a host")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fault(field, "invalid address: it has a user, a query or a fragment; put credentials into files")
	}
	return nil
}

func (c Channel) validate(field string) error {
	var errs []error
	set := 0
	if s := c.Slack; s != nil {
		set++
		if !validID.MatchString(s.Channel) {
			errs = append(errs, fault(field+".slack.channel", "invalid id %.100q; allowed: the id of a channel, such as C0123456789, at the end of its details in Slack", s.Channel))
		}
		errs = append(errs, required(field+".slack.tokenFile", s.TokenFile))
		if s.APIURL != "" {
			errs = append(errs, checkURL(field+".slack.apiURL", s.APIURL))
		}
	}
	if a := c.Alertmanager; a != nil {
		set++
		if len(a.URLs) == 0 {
			errs = append(errs, fault(field+".alertmanager.urls", "name at least one"))
		}
		for i, u := range a.URLs {
			errs = append(errs, checkURL(fmt.Sprintf("%s.alertmanager.urls[%d]", field, i), u))
		}
	}
	if w := c.Webhook; w != nil {
		set++
		errs = append(errs, checkURL(field+".webhook.url", w.URL), required(field+".webhook.secretFile", w.SecretFile))
		if w.Format != "" && w.Format != "json" && w.Format != "cloudevents" {
			errs = append(errs, fault(field+".webhook.format", "invalid format %.100q; allowed: json, cloudevents", w.Format))
		}
	}
	if o := c.Otel; o != nil {
		set++
		errs = append(errs, checkURL(field+".otel.url", o.URL))
		if u, err := url.Parse(o.URL); err == nil && strings.Trim(u.Path, "/") != "" {
			errs = append(errs, fault(field+".otel.url", "invalid address: it has a path; leave it out"))
		}
		if o.Protocol != "" && o.Protocol != "grpc" && o.Protocol != "http" {
			errs = append(errs, fault(field+".otel.protocol", "invalid protocol %.100q; allowed: grpc, http", o.Protocol))
		}
	}
	if g := c.GitHub; g != nil {
		set++
		errs = append(errs, g.validate(field+".github"))
	}
	if set != 1 {
		errs = append(errs, fault(field, "name one of slack, alertmanager, webhook, otel and github, not %d", set))
	}
	return errors.Join(errs...)
}

func (g *GitHub) validate(field string) error {
	errs := []error{required(field+".tokenFile", g.TokenFile)}
	if g.APIURL != "" {
		errs = append(errs, checkURL(field+".apiURL", g.APIURL))
	}
	if len(g.Repositories) == 0 {
		errs = append(errs, fault(field+".repositories", "name at least one: no other repository gets reports"))
	}
	for i, r := range g.Repositories {
		field := fmt.Sprintf("%s.repositories[%d]", field, i)
		if !validRepository.MatchString(r.Name) {
			errs = append(errs, fault(field+".name", "invalid name %.100q; allowed: owner/name", r.Name))
		}
		if len(r.Sources) == 0 {
			errs = append(errs, fault(field+".sources", "name at least one URL of a source"))
		}
	}
	return errors.Join(errs...)
}

func required(field, value string) error {
	if value == "" {
		return fault(field, "is required")
	}
	return nil
}

func (r *Rule) validate(field string, channels map[string]Channel) error {
	var errs []error
	if !validName.MatchString(r.Name) {
		errs = append(errs, fault(field+".name", "invalid name %.100q; allowed: 1 to 63 letters, digits, - and _", r.Name))
	}
	if len(r.Channels) == 0 {
		errs = append(errs, fault(field+".channels", "name at least one"))
	}
	for i, name := range r.Channels {
		c, ok := channels[name]
		if !ok {
			errs = append(errs, fault(fmt.Sprintf("%s.channels[%d]", field, i), "unknown channel %.100q; allowed: %s", name, strings.Join(sortedKeys(channels), ", ")))
		}
		if slices.Contains(r.Channels[:i], name) {
			errs = append(errs, fault(fmt.Sprintf("%s.channels[%d]", field, i), "channel %.100q is named twice; name it once", name))
		}
		if c.GitHub != nil && len(r.Regions) == 0 {
			errs = append(errs, fault(field+".regions", "name the regions whose results set the status of a commit: the rule is for %s", name))
		}
		if c.GitHub != nil && !r.Reads(notice.KindRevision) {
			errs = append(errs, fault(field+".kinds", "name revision: %s takes nothing else", name))
		}
	}
	for i, pattern := range r.Flows {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			errs = append(errs, fault(fmt.Sprintf("%s.flows[%d]", field, i), "invalid pattern %.200q; allowed: the name of a flow, or a pattern such as prod-*", pattern))
		}
	}
	for i, kind := range r.Kinds {
		if !slices.Contains(notice.Kinds, kind) {
			errs = append(errs, fault(fmt.Sprintf("%s.kinds[%d]", field, i), "invalid kind %.100q; allowed: %v", kind, notice.Kinds))
		}
	}
	if r.Severity != "" && !slices.Contains(notice.Severities, r.Severity) {
		errs = append(errs, fault(field+".severity", "invalid severity %.100q; allowed: %v", r.Severity, notice.Severities))
	}
	if r.Quiet != nil {
		if _, err := r.Quiet.hours(); err != nil {
			errs = append(errs, fmt.Errorf("%s.quiet%w", field, err))
		}
	}
	return errors.Join(errs...)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
