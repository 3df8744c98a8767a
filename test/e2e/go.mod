module github.com/openova-io/openova/test/e2e

go 1.26.0

require (
	github.com/openova-io/openova/products/openova-flow/server v0.0.0-00010101000000-000000000000
	sigs.k8s.io/yaml v1.6.0
)

require go.yaml.in/yaml/v2 v2.4.2 // indirect

replace github.com/openova-io/openova/products/openova-flow/server => ../../products/openova-flow/server
