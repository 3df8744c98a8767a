// Command openova-flow-server-jetstream is openova-flow-server with its flows in NATS JetStream: one durable server, or several replicas.
package main

import "github.com/openova-io/openova/products/openova-flow/server/cli"

// version is set by the linker in release builds.
var version = ""

func server() cli.Program {
	var c config
	return cli.Program{
		Name: "openova-flow-server-jetstream", Version: version,
		Does:     "folds FlowMessages into flows, stores them in NATS JetStream, and streams them as Server-Sent Events.",
		Settings: c.settings(), Prepare: c.prepare,
	}
}

func main() { server().Main() }
