package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

var (
	background = context.Background()
	scratch    string
)

const containerEnv = "RELEASE_TEST_CONTAINER"

func TestMain(m *testing.M) {
	if spec := os.Getenv(containerEnv); spec != "" {
		fmt.Fprintln(os.Stderr, "container:", enter(spec))
		os.Exit(125)
	}
	var err error
	if scratch, err = os.MkdirTemp("", "release-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(code)
}

type container struct {
	Root      string
	UID, GID  int
	Arguments []string
	Env       []string
}

const permission = `running an image needs a user namespace that may mount file systems. Run the tests as root, or allow such namespaces:
  sysctl -w kernel.apparmor_restrict_unprivileged_userns=0   (Ubuntu)
  sysctl -w kernel.unprivileged_userns_clone=1               (Debian)`

// command returns a command that runs an image of this machine's architecture like a container runtime with a read-only root, no capabilities and
// no_new_privs: in its own user and mount namespaces, as the image's user, with only the image mounted. The network is shared. The command is killed after a minute.
func command(t *testing.T, image v1.Image, root string, env []string, arguments ...string) *exec.Cmd {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	uid, gid, _ := strings.Cut(config.Config.User, ":")
	c := container{Root: root, Arguments: append(config.Config.Entrypoint, arguments...), Env: overlaid(config.Config.Env, env)}
	if c.UID, err = strconv.Atoi(uid); err != nil {
		t.Fatal(err)
	}
	if c.GID, err = strconv.Atoi(gid); err != nil {
		t.Fatal(err)
	}
	spec, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Not the test's context, which ends before its cleanup.
	bounded, cancel := context.WithTimeout(background, time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(bounded, self)
	cmd.Env = []string{containerEnv + "=" + string(spec)}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: c.UID, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: c.GID, HostID: os.Getgid(), Size: 1}},
		// Only needed to mount the file systems.
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
		Pdeathsig:   syscall.SIGKILL,
	}
	return cmd
}

// overlaid returns the image's environment with the variables of a run, which take precedence.
func overlaid(image, run []string) []string {
	all := slices.DeleteFunc(slices.Clone(image), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.ContainsFunc(run, func(other string) bool { return strings.HasPrefix(other, name+"=") })
	})
	return append(all, run...)
}

// enter turns this process into the container. It returns only on failure.
func enter(text string) error {
	var c container
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	// prctl applies to the thread, and exec keeps it.
	runtime.LockOSThread()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"make mounts private", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"mount the image", func() error { return unix.Mount(c.Root, c.Root, "", unix.MS_BIND, "") }},
		{"make it read-only", func() error {
			return unix.Mount("", c.Root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
		}},
		{"change into the image", func() error { return unix.Chdir(c.Root) }},
		{"make it the root", func() error { return unix.PivotRoot(".", ".") }},
		{"unmount the old root", func() error { return unix.Unmount(".", unix.MNT_DETACH) }},
		{"change into the root", func() error { return unix.Chdir("/") }},
		{"drop capabilities", func() error { return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) }},
		{"set no_new_privs", func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w\n%s", step.name, err, permission)
		}
	}
	if uid, gid := os.Getuid(), os.Getgid(); uid != c.UID || gid != c.GID {
		return fmt.Errorf("runs as %d:%d, want %d:%d", uid, gid, c.UID, c.GID)
	}
	for _, path := range []string{"/written", "/etc/written", c.Arguments[0]} {
		if f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600); !errors.Is(err, unix.EROFS) {
			_ = f.Close()
			return fmt.Errorf("the root is not read-only: open %s for writing: %v, want %v", path, err, unix.EROFS)
		}
	}
	return unix.Exec(c.Arguments[0], c.Arguments, c.Env)
}

func unpack(t *testing.T, image v1.Image) string {
	t.Helper()
	root := t.TempDir()
	walk(t, image, func(h *tar.Header, content io.Reader) {
		path := filepath.Join(root, filepath.Clean("/"+h.Name))
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, os.FileMode(h.Mode)); err != nil {
				t.Fatal(err)
			}
			return
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, os.FileMode(h.Mode))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(f, content)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	})
	return root
}
