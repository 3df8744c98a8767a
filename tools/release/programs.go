package main

type program struct {
	name        string // name of the binary and of the image
	module      string // the folder of its Go module
	description string
	env         []string
	port        string
	npm         []string // npm packages in the page that the binary embeds
}

// A test compares programs with the Dockerfiles in platform.
var programs = []program{
	{
		name:        "openova-flow-server",
		module:      "products/openova-flow/server",
		description: "Folds the deployment flow of all clusters into one and streams it",
		env:         []string{"FLOW_SERVER_LISTEN_ADDR=:8080"},
		port:        "8080",
		npm:         []string{"clsx", "esm-env", "svelte"},
	},
	{
		name:        "openova-flow-server-jetstream",
		module:      "products/openova-flow/server-jetstream",
		description: "Folds the deployment flow of all clusters into one, keeps it in NATS JetStream and streams it",
		env:         []string{"FLOW_SERVER_LISTEN_ADDR=:8080"},
		port:        "8080",
		npm:         []string{"clsx", "esm-env", "svelte"},
	},
	{
		name:        "openova-flow-adapter-flux",
		module:      "products/openova-flow/adapter-flux",
		description: "Reports the Flux objects of a cluster to a flow server",
		port:        "8081",
	},
	{
		name:        "openova-flow-proxy",
		module:      "products/openova-flow/server",
		description: "Serves flows of a flow server on another origin",
		env:         []string{"FLOW_PROXY_LISTEN_ADDR=:8082"},
		port:        "8082",
	},
	{
		name:        "openova-flow-relay",
		module:      "products/openova-flow/relay",
		description: "Sends notices of flows to Slack, Alertmanager, webhooks, GitHub and OpenTelemetry",
		port:        "8083",
	},
}

const (
	source  = "https://github.com/openova-io/openova"
	license = "Apache-2.0"
	// user is the images' user. It is a number, so that Kubernetes can verify that it is not root.
	user    = "65532:65532"
	caFile  = "/etc/ssl/certs/ca-certificates.crt"
	ownPath = "github.com/openova-io/openova/"
)
