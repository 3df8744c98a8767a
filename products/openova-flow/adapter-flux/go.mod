module github.com/openova-io/openova/products/openova-flow/adapter-flux

go 1.26

require github.com/openova-io/openova/products/openova-flow/server v0.0.0

replace github.com/openova-io/openova/products/openova-flow/server => ../server
