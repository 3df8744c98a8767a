package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

func parsePlatforms(text string) ([]platform, error) {
	var all []platform
	for one := range strings.SplitSeq(text, ",") {
		system, arch, ok := strings.Cut(strings.TrimSpace(one), "/")
		if !ok || system == "" || arch == "" {
			return nil, fmt.Errorf("invalid platform %q; allowed: os/arch, such as linux/amd64", one)
		}
		all = append(all, platform{system, arch})
	}
	return all, nil
}

type state struct {
	root     string // the checkout
	version  string
	revision string // the commit, with the suffix -dirty if tracked files are changed; empty outside of git
	created  time.Time
}

// readState reads the commit and its time from git. SOURCE_DATE_EPOCH overrides the time. Without both, the time is 1970.
func readState(ctx context.Context, root, version string) (state, error) {
	s := state{root: root, version: version, created: time.Unix(0, 0).UTC()}
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if head, err := git("log", "-1", "--format=%H %ct"); err == nil {
		var seconds string
		s.revision, seconds, _ = strings.Cut(head, " ")
		if epoch == "" {
			epoch = seconds
		}
		if changed, err := git("status", "--porcelain", "--untracked-files=no"); err == nil && changed != "" {
			s.revision += "-dirty"
		}
	}
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return s, fmt.Errorf("invalid SOURCE_DATE_EPOCH %q; allowed: seconds since 1970", epoch)
		}
		s.created = time.Unix(seconds, 0).UTC()
	}
	return s, nil
}

// compile builds a program into the folder and returns the path of the binary. The build is reproducible: the same source, version and Go toolchain give the
// same bytes, wherever the checkout is.
func compile(ctx context.Context, s state, p program, on platform, folder string) (string, error) {
	out, err := filepath.Abs(filepath.Join(folder, p.name))
	if err != nil {
		return "", err
	}
	if on.os == "windows" {
		out += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+s.version, "-o", out, "./cmd/"+p.name)
	cmd.Dir = filepath.Join(s.root, p.module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS="+on.os, "GOARCH="+on.arch, "GOAMD64=v1", "GOARM64=v8.0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s for %s: %w\n%s", p.name, on, err, text)
	}
	return out, nil
}

// checkVersion allows only versions that are valid in tags of images, file names and linker flags.
func checkVersion(version string) error {
	if version == "" {
		return errors.New("the version is empty: set --version, such as 0.1.0")
	}
	if len(version) > 128 {
		return fmt.Errorf("invalid --version of %d characters; allowed: at most 128", len(version))
	}
	for _, r := range version {
		if !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_", r) {
			return fmt.Errorf("invalid --version %q; allowed: letters, digits, '.', '-' and '_'", version)
		}
	}
	if strings.HasPrefix(version, "v") || strings.HasPrefix(version, "-") || strings.HasPrefix(version, ".") {
		return fmt.Errorf("invalid --version %q: it must not start with v, - or '.'", version)
	}
	return nil
}
