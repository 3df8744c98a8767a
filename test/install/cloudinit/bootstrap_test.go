package cloudinit

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

const (
	gatewayAPI = "sigs.k8s.io/gateway-api@v1.3.0"
	// k3sProgram replaces k3s. It records its calls. Its wait succeeds from the second call on, or never if NEVER is set.
	k3sProgram = `#!/bin/sh
echo "k3s $*" >>"$CALLS"
case $* in *" wait "*) [ -z "${NEVER:-}" ] && [ "$(grep -c ' wait ' "$CALLS")" -ge 2 ] ;; esac
`
)

// machine is a folder in place of a machine's root, with a test server in place of GitHub.
type machine struct {
	root, calls string
	env         []string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", gatewayAPI).Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := &machine{root: filepath.Join(t.TempDir(), "root")}
	home := t.TempDir()
	m.calls = filepath.Join(home, "calls")
	github := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, version, _ := strings.Cut(gatewayAPI, "@")
		if path, ok := strings.CutPrefix(r.Host+r.URL.Path, "raw.githubusercontent.com/kubernetes-sigs/gateway-api/"+version+"/"); ok {
			http.ServeFile(w, r, filepath.Join(module.Dir, path))
			return
		}
		if strings.HasPrefix(r.Host+r.URL.EscapedPath(), "github.com/k3s-io/k3s/releases/download/v1.33.5%2Bk3s1/k3s") {
			_, _ = w.Write([]byte(k3sProgram))
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(github.Close)
	write(t, filepath.Join(home, ".curlrc"), "connect-to = \"::"+github.Listener.Addr().String()+"\"\ninsecure\nnoproxy = \"*\"\n")
	write(t, filepath.Join(home, "systemctl"), "#!/bin/sh\necho \"systemctl $*\" >>\"$CALLS\"\n")
	if err := os.Chmod(filepath.Join(home, "systemctl"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.env = append(os.Environ(), "HOME="+home, "CURL_HOME="+home, "CALLS="+m.calls, "PATH="+home+":"+os.Getenv("PATH"), "DESTDIR="+m.root, "OPENOVA_RETRY_DELAY=0")
	return m
}

func (m *machine) bootstrap(t *testing.T, userData string, env ...string) (printed, calls string, err error) {
	t.Helper()
	c := parse(t, userData)
	if len(c.RunCmd) != 1 || len(c.RunCmd[0]) != 1 {
		t.Fatalf("runcmd is %q", c.RunCmd)
	}
	file := filepath.Join(t.TempDir(), "bootstrap")
	write(t, file, c.file(t, c.RunCmd[0][0]))
	cmd := exec.Command("sh", file)
	cmd.Env = append(m.env, env...)
	out, err := cmd.CombinedOutput()
	text, readErr := os.ReadFile(m.calls)
	if readErr != nil && !os.IsNotExist(readErr) {
		t.Fatal(readErr)
	}
	return string(out), string(text), err
}

func TestBootstrap_WaitsForFluxAndRejectsOtherFiles(t *testing.T) {
	architecture, other := runtime.GOARCH, map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	if other == "" {
		t.Skip("no k3s release for ", architecture)
	}
	w := newWorkspace(t)
	render := func(sums map[string]string) string {
		out, _ := w.apply(t, deployment().with(inputs{"k3s_sha256": sums}))
		return out.UserData["hel1"]
	}
	right := render(map[string]string{architecture: sum(k3sProgram)})

	t.Run("k3s starts, and Flux takes over", func(t *testing.T) {
		m := newMachine(t)
		printed, calls, err := m.bootstrap(t, right)
		const wait = "k3s kubectl --namespace flux-system wait --for=condition=Ready --timeout=60s helmrelease/bp-cilium helmrelease/bp-flux\n"
		want := "systemctl daemon-reload\nsystemctl enable --now k3s.service\n" + wait + wait +
			"k3s kubectl --namespace kube-system annotate --overwrite helmcharts.helm.cattle.io cilium flux helmcharts.helm.cattle.io/unmanaged=true\n"
		if err != nil || calls != want {
			t.Fatalf("%v\n%s\ncalls are\n%s", err, printed, calls)
		}
		if info, err := os.Stat(filepath.Join(m.root, "usr/local/bin/k3s")); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%v %v", info, err)
		}
		files, _ := filepath.Glob(filepath.Join(m.root, "var/lib/rancher/k3s/server/manifests/*"))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(text), "\nkind: CustomResourceDefinition\n") || filepath.Ext(file) != ".yaml" {
				t.Errorf("%s: %v", file, err)
			}
		}
		if len(files) != 5 {
			t.Errorf("definitions are %v", files)
		}
	})

	for name, tt := range map[string]struct{ userData, want string }{
		"another k3s": {render(map[string]string{architecture: strings.Repeat("a", 64)}), "/k3s" + map[string]string{"arm64": "-arm64"}[architecture] + " does not have the SHA-256 " + strings.Repeat("a", 64)},
		"another definition": {regexp.MustCompile(`7c8ee2c1[0-9a-f]{56}`).ReplaceAllString(right, strings.Repeat("b", 64)),
			"gateway.networking.k8s.io_gatewayclasses.yaml does not have the SHA-256 " + strings.Repeat("b", 64)},
		"a machine of another architecture": {render(map[string]string{other: sum(k3sProgram)}), ": set it in k3s_sha256"},
	} {
		t.Run(name+" is rejected", func(t *testing.T) {
			m := newMachine(t)
			printed, calls, err := m.bootstrap(t, tt.userData)
			if err == nil || !strings.Contains(printed, tt.want) || calls != "" {
				t.Errorf("%v\n%s\ncalls are\n%s", err, printed, calls)
			}
			if left, _ := filepath.Glob(filepath.Join(m.root, "usr/local/bin/*")); len(left) != 0 {
				t.Errorf("files left: %v", left)
			}
		})
	}

	t.Run("a bootstrap that never ends is an error", func(t *testing.T) {
		printed, calls, err := newMachine(t).bootstrap(t, right, "NEVER=1")
		if err == nil || strings.Count(calls, " wait ") != 120 || strings.Contains(calls, "annotate") {
			t.Errorf("%v\n%s\ncalls are\n%s", err, printed, calls)
		}
	})
}
