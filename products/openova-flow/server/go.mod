module github.com/openova-io/openova/products/openova-flow/server

go 1.26
