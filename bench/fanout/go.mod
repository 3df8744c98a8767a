module github.com/openova-io/openova/bench/fanout

go 1.26.0

require (
	github.com/openova-io/openova/products/openova-flow/server v0.0.0
	golang.org/x/sys v0.49.0
)

replace github.com/openova-io/openova/products/openova-flow/server => ../../products/openova-flow/server
