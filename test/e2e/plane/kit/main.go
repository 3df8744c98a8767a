// Command kit builds the programs and CRDs of planes, unless they are cached. Run it in test/e2e.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/openova-io/openova/test/e2e/plane"
)

func main() {
	cache, err := plane.CacheDir()
	if err == nil {
		_, err = plane.Build(context.Background(), "tools", cache, func(what string) { fmt.Printf("building %s into %s, once\n", what, cache) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kit: "+err.Error())
		os.Exit(1)
	}
}
