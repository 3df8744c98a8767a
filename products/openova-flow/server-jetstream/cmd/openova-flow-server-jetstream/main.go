// Command openova-flow-server-jetstream is openova-flow-server with its flows in NATS JetStream: durable by itself, or several replicas
// that are the same.
package main

import "github.com/openova-io/openova/products/openova-flow/server/cli"

// version is set by the linker in release builds.
var version = ""

func server() cli.Program {
	var c config
	return cli.Program{
		Name: "openova-flow-server-jetstream", Version: version,
		Does:     "folds FlowMessages into flows, which it keeps in NATS JetStream, and streams them by Server-Sent Events.",
		Settings: c.settings(), Prepare: c.prepare,
	}
}

func main() { server().Main() }
