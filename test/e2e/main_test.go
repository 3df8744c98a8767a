// Package e2e tests the adapter and the server with two real API servers. Run it with `make e2e`.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/test/e2e/plane"
)

const (
	products   = "../../products/openova-flow/"
	recordings = products + "adapter-flux/testdata/recordings/"
)

var (
	regionNames = []string{"fsn1", "hel1"}
	planes      = map[string]*plane.Plane{}
	kit         plane.Kit

	serverBinary, adapterBinary string

	work string // all files of this run
	logs string // logs of all processes, in work
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	var err error
	if work, err = os.MkdirTemp("", "openova-flow-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	logs = filepath.Join(work, "logs")
	code := 1
	defer func() {
		for _, p := range planes {
			p.Stop()
		}
		if code == 0 {
			_ = os.RemoveAll(work)
			return
		}
		fmt.Printf("\nthe logs of all processes are in %s\n", logs)
	}()
	if err := prepare(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return code
	}
	code = m.Run()
	return code
}

// prepare builds the programs and starts both control planes.
func prepare(ctx context.Context) error {
	began := time.Now()
	cache, err := plane.CacheDir()
	if err != nil {
		return err
	}
	building := func(what string) { fmt.Printf("building %s into %s, once\n", what, cache) }
	if kit, err = plane.Build(ctx, "tools", cache, building); err != nil {
		return err
	}
	if err := buildPrograms(); err != nil {
		return err
	}
	line("built", "kube-apiserver, etcd, Flux CRDs, openova-flow-server, openova-flow-adapter-flux", time.Since(began))
	began = time.Now()
	var wg sync.WaitGroup
	errs := make([]error, len(regionNames))
	started := make([]*plane.Plane, len(regionNames))
	for i, name := range regionNames {
		wg.Go(func() { started[i], errs[i] = startPlane(ctx, name) })
	}
	wg.Wait()
	for i, name := range regionNames {
		if started[i] != nil { // run stops it, also if the other one failed to start
			planes[name] = started[i]
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	line("up", "two control planes", time.Since(began))
	return nil
}

func buildPrograms() error {
	bin := filepath.Join(work, "bin") + "/"
	for module, program := range map[string]string{"server": "openova-flow-server", "adapter-flux": "openova-flow-adapter-flux"} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", bin, "./cmd/"+program)
		cmd.Dir = products + module
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", program, err, out)
		}
	}
	serverBinary, adapterBinary = bin+"openova-flow-server", bin+"openova-flow-adapter-flux"
	return nil
}

// startPlane starts a control plane with what the tests need. A plane that it returns with an error is running too.
func startPlane(ctx context.Context, name string) (*plane.Plane, error) {
	p, err := plane.New(ctx, kit, filepath.Join(work, name), filepath.Join(logs, name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	admin := p.Admin()
	for _, ns := range []string{"flux-system", "demo2", "team-a", "infra", "data", "apps", "lab", "kz"} {
		_, err := admin.Do(ctx, "POST", plane.Path("Namespace", "", ""), plane.JSON,
			plane.Object{"apiVersion": "v1", "kind": "Namespace", "metadata": plane.Object{"name": ns}})
		if err != nil {
			return p, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := installCRDs(ctx, p); err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	if err := established(ctx, p); err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	if err := grant(ctx, name, p); err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

func installCRDs(ctx context.Context, p *plane.Plane) error {
	for _, file := range kit.CRDs {
		if err := p.Admin().ApplyFile(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

// established waits until every kind that the CRDs define is served, also to watches. Before that, the deletion of a CRD may not
// complete.
func established(ctx context.Context, p *plane.Plane) error {
	crds, err := p.Admin().List(ctx, "CustomResourceDefinition")
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(crds))
	for i, crd := range crds {
		spec := crd["spec"].(plane.Object)
		version := spec["versions"].([]any)[0].(plane.Object)["name"]
		path := fmt.Sprintf("/apis/%s/%s/%s", spec["group"], version, spec["names"].(plane.Object)["plural"])
		wg.Go(func() {
			errs[i] = plane.Wait(ctx, 30*time.Second, func() error {
				if _, err := p.Admin().Text(ctx, path); err != nil {
					return err
				}
				_, err := p.Admin().Text(ctx, path+"?watch=1&timeoutSeconds=1&resourceVersion=0")
				return err
			})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// grant creates the adapter's service account and its permissions.
func grant(ctx context.Context, region string, p *plane.Plane) error {
	return p.Admin().ApplyFile(ctx, "manifests/emitter.yaml", "LEASE", leaseName(region))
}

// scenario runs f as a subtest and prints a line with its result. f returns details for it.
func scenario(t *testing.T, name string, f func(t *testing.T) string) {
	t.Helper()
	began := time.Now()
	details := ""
	ok := t.Run(name, func(t *testing.T) { details = f(t) })
	if details != "" {
		name += ": " + details
	}
	mark := "ok"
	if !ok {
		mark = "FAILED"
	}
	line(mark, name, time.Since(began))
}

var printing sync.Mutex

func line(mark, what string, took time.Duration) {
	printing.Lock()
	defer printing.Unlock()
	fmt.Printf("%-7s %6.1f s  %s\n", mark, took.Seconds(), what)
}

func sorted[K comparable](m map[K]bool, less func(a, b K) int) []K {
	var keys []K
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, less)
	return keys
}
