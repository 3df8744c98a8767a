module github.com/openova-io/openova/tools/bootstrapdeps

go 1.26.0

require go.yaml.in/yaml/v3 v3.0.5
