module github.com/openova-io/openova/test/install/live

go 1.26.0

replace github.com/openova-io/openova/test/e2e => ../../e2e

replace github.com/openova-io/openova/products/openova-flow/server => ../../../products/openova-flow/server
