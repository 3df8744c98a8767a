module github.com/openova-io/openova/test/install/live

go 1.26.0

replace github.com/openova-io/openova/test/e2e => ../../e2e

replace github.com/openova-io/openova/products/openova-flow/server => ../../../products/openova-flow/server

require (
	github.com/openova-io/openova/test/e2e v0.0.0-00010101000000-000000000000
	sigs.k8s.io/yaml v1.6.0
)

require go.yaml.in/yaml/v2 v2.4.2 // indirect
