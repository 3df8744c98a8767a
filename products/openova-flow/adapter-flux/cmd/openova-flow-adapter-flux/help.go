package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

const usage = `openova-flow-adapter-flux shows the Flux releases of a cluster to a flow server.

  openova-flow-adapter-flux [run] [flags]
        Watches the cluster and reports to the flow server, until it is told to stop.
  openova-flow-adapter-flux --context NAME[,NAME...]
        With no FLOW_SERVER_URL: shows these clusters, each as a region, on a page of this machine, with a server in
        this process and nothing but your own rights to read. All namespaces, unless you name some.
  openova-flow-adapter-flux record [-o FILE] [--redact] [flags]
        Writes what the watch delivers as JSON lines, to stdout or FILE. --redact takes the values out of
        spec.values and leaves their names.
  openova-flow-adapter-flux replay [--speed N|max] [--dry-run] [--rebase] [--stay] [flags] REGION=FILE...
        Plays recordings, each as a region, through the same mapping to the flow server, at N times the speed at
        which they were recorded (1). FILE may be - for stdin. Ends when all is confirmed.
        --dry-run needs no server: it prints every FlowMessage on stdout, one a line. FLOW_ID is then "replay"
        when it is not set. --rebase moves all times so that it seems to happen now. --stay says "replayed" at the end
        and goes on speaking for the regions, which the server otherwise shows as not heard of any more.
  openova-flow-adapter-flux version
  openova-flow-adapter-flux help [--markdown]
        --markdown prints the settings as the table that the README has.

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

// settingsTable is the table of settings in Markdown.
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
