package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// stated lists the files that state a version, and the pattern of its line. With another version in them, a release would install that version, or its docs would name it.
var stated = []struct{ file, pattern string }{
	{"platform/openova-flow-server/chart/Chart.yaml", `(?m)^version: (\S+)$`},
	{"platform/openova-flow-server/chart/Chart.yaml", `(?m)^appVersion: (\S+)$`},
	{"platform/openova-flow-server/chart/values.yaml", `(?m)^    tag: (\S+)$`},
	{"platform/openova-flow-emitter/chart/Chart.yaml", `(?m)^version: (\S+)$`},
	{"platform/openova-flow-emitter/chart/Chart.yaml", `(?m)^appVersion: (\S+)$`},
	{"platform/openova-flow-emitter/chart/values.yaml", `(?m)^    tag: (\S+)$`},
	{"clusters/_template/bootstrap-kit/56-bp-openova-flow-server.yaml", `(?m)^      version: (\S+)$`},
	{"clusters/_template/bootstrap-kit/57-bp-openova-flow-emitter.yaml", `(?m)^      version: (\S+)$`},
	{"docs/ci-gate.md", `(?m)^- uses: openova-io/openova@v(\S+)$`},
	{"docs/install.md", `(?m)^version=(\S+)$`},
}

func checkStated(root, version string) error {
	var wrong []error
	for _, place := range stated {
		text, err := os.ReadFile(filepath.Join(root, place.file))
		if err != nil {
			return err
		}
		found := regexp.MustCompile(place.pattern).FindAllSubmatch(text, -1)
		if len(found) != 1 {
			return fmt.Errorf("%s: %d lines match %s, want 1", place.file, len(found), place.pattern)
		}
		if at := string(found[0][1]); at != version {
			wrong = append(wrong, fmt.Errorf("%s has version %s, want %s", place.file, at, version))
		}
	}
	return errors.Join(wrong...)
}
