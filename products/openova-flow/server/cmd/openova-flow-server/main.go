// Command openova-flow-server folds FlowMessages into flows and streams them to subscribers.
package main

import "github.com/openova-io/openova/products/openova-flow/server/cli"

// version is set by the linker in release builds.
var version = ""

func server() cli.Program {
	return cli.Program{Name: "openova-flow-server", Version: version, Does: "folds FlowMessages into flows and streams them by Server-Sent Events."}
}

var run = server().Run

func main() { server().Main() }
