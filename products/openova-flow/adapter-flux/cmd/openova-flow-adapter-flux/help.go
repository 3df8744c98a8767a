package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

const usage = `openova-flow-adapter-flux reports the Flux objects of a cluster to a flow server.

  openova-flow-adapter-flux [run] [flags]
        Watches the cluster and reports to the flow server until it is stopped.
  openova-flow-adapter-flux --context NAME[,NAME...]
        Without FLOW_SERVER_URL, outside of a cluster: shows these clusters, each as a region, on a page that this
        process serves on this machine. It needs only your own permissions to read. All namespaces, unless you name some.
  openova-flow-adapter-flux record [-o FILE] [--redact] [flags]
        Writes every object version that the watch delivers as JSON lines, to stdout or FILE. --redact removes
        possible secrets: values, substitutes, patches, annotations other than Flux's, and quotes of these in messages.
  openova-flow-adapter-flux replay [--speed N|max] [--dry-run] [--rebase] [--stay] [flags] REGION=FILE...
        Replays recordings of regions through the same mapping to the flow server, at N times the recorded speed
        (default 1). FILE may be - for stdin. Exits when the server has confirmed everything.
        --dry-run needs no server: it prints every message on stdout, one a line; FLOW_ID defaults to "replay".
        --rebase moves all times to the time of the replay. --stay prints "replayed" at the end and goes on renewing
        the claims of the regions, which become stale otherwise.
  openova-flow-adapter-flux version
  openova-flow-adapter-flux help [--markdown]
        --markdown prints the settings as the table in docs/configuration.md.

Settings, as environment variable and as flag (the flag wins):
`

func help(args []string, w io.Writer) error {
	if slices.Equal(args, []string{"--markdown"}) {
		_, err := io.WriteString(w, settingsTable())
		return err
	}
	var b strings.Builder
	b.WriteString(usage)
	for _, s := range settings {
		fmt.Fprintf(&b, "\n  %s\n        %s Must be %s.\n        For %s.%s\n",
			strings.TrimPrefix(s.env+", --"+s.flag, ", "), s.what, s.allowed, strings.Join(s.commands, ", "), s.defaultSentence())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s setting) defaultSentence() string {
	switch {
	case s.shown == "required":
		return " Required."
	case s.shown != "":
		return " Default: " + s.shown + "."
	}
	return " Default: " + s.fallback + "."
}

// settingsTable returns the table of settings in Markdown.
func settingsTable() string {
	var b strings.Builder
	b.WriteString("| Variable | Flag | Default | Allowed | What for | Commands |\n|---|---|---|---|---|---|\n")
	for _, s := range settings {
		env, fallback := "", "`"+s.fallback+"`"
		if s.env != "" {
			env = "`" + s.env + "`"
		}
		if s.shown != "" {
			fallback = s.shown
		}
		fmt.Fprintf(&b, "| %s | `--%s` | %s | %s | %s | %s |\n", env, s.flag, fallback, s.allowed, s.what, strings.Join(s.commands, ", "))
	}
	return b.String()
}
