package plane

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Kit has the programs and the CRDs of planes.
type Kit struct {
	APIServer, Etcd string   // programs
	CRDs            []string // files with one CRD each
}

// CacheDir returns the folder for built programs: OPENOVA_FLOW_E2E_CACHE, otherwise a folder in the user's cache.
func CacheDir() (string, error) {
	if dir := os.Getenv("OPENOVA_FLOW_E2E_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "openova-flow-e2e"), err
}

// Build returns the Kit with the versions in the modules under tools. It builds the parts that are not in the cache, and calls building with name and
// version of each before it is built.
func Build(ctx context.Context, tools, cache string, building func(string)) (Kit, error) {
	b := builder{ctx, tools, cache, building}
	var k Kit
	server, err := b.cached("kube-apiserver", "k8s.io/kubernetes", func(version, into string) error {
		major, minor, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
		minor, _, _ = strings.Cut(minor, ".")
		const set = "-X k8s.io/component-base/version."
		flags := "-s -w " + set + "gitVersion=" + version + " " + set + "gitMajor=" + major + " " + set + "gitMinor=" + minor
		return b.run("kube-apiserver", "build", "-trimpath", "-ldflags", flags, "-o", into+"/", "k8s.io/kubernetes/cmd/kube-apiserver")
	})
	if err != nil {
		return k, err
	}
	etcd, err := b.cached("etcd", "go.etcd.io/etcd/server/v3", func(_, into string) error {
		return b.run("etcd", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(into, "etcd"), "go.etcd.io/etcd/server/v3")
	})
	if err != nil {
		return k, err
	}
	crds, err := b.cached("crds", "github.com/fluxcd/helm-controller/api", func(_, into string) error {
		return b.run("crds", "tool", "controller-gen", "crd", "paths=github.com/fluxcd/helm-controller/api/v2",
			"paths=github.com/fluxcd/kustomize-controller/api/v1", "paths=github.com/fluxcd/source-controller/api/v1", "output:crd:dir="+into)
	})
	if err != nil {
		return k, err
	}
	k = Kit{APIServer: filepath.Join(server, "kube-apiserver"), Etcd: filepath.Join(etcd, "etcd")}
	k.CRDs, err = filepath.Glob(filepath.Join(crds, "*.yaml"))
	return k, err
}

type builder struct {
	ctx          context.Context
	tools, cache string
	building     func(string)
}

// cached returns the folder of a module in the cache. If there is none, it calls make. The folder's name has the version of main and a hash of go.mod
// and go.sum.
func (b builder) cached(module, main string, make func(version, into string) error) (string, error) {
	mod, err := os.ReadFile(filepath.Join(b.tools, module, "go.mod"))
	if err != nil {
		return "", err
	}
	sum, err := os.ReadFile(filepath.Join(b.tools, module, "go.sum"))
	if err != nil {
		return "", err
	}
	version := regexp.MustCompile(regexp.QuoteMeta(main) + ` (v\S+)`).FindSubmatch(mod)
	if version == nil {
		return "", fmt.Errorf("%s/go.mod does not require %s", module, main)
	}
	key := sha256.Sum256(bytes.Join([][]byte{mod, sum}, []byte{0}))
	dir := filepath.Join(b.cache, module+"-"+string(version[1])+"-"+hex.EncodeToString(key[:4]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(b.cache, "building-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	b.building(module + " " + string(version[1]))
	if err := make(string(version[1]), tmp); err != nil {
		return "", fmt.Errorf("build %s: %w", module, err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	// Another process may have built the same in the meantime; its folder is used.
	if err := os.Rename(tmp, dir); err != nil && !os.IsExist(err) {
		return "", err
	}
	return dir, nil
}

func (b builder) run(module string, args ...string) error {
	cmd := exec.CommandContext(b.ctx, "go", args...)
	cmd.Dir = filepath.Join(b.tools, module)
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, out)
	}
	return nil
}
