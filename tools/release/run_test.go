package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// here returns the image of a program for this machine's platform.
func here(t *testing.T, name string) v1.Image {
	t.Helper()
	for _, p := range programs {
		if p.name == name {
			return imagesOf(t, p)[platform{"linux", runtime.GOARCH}]
		}
	}
	t.Fatalf("there is no program %s", name)
	return nil
}

func once(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	failed := cmd.Run()
	var exit *exec.ExitError
	if failed != nil && !errors.As(failed, &exit) {
		t.Fatalf("%v\n%s", failed, permission)
	}
	if cmd.ProcessState.ExitCode() == 125 {
		t.Fatal(err.String())
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// serve runs an image until the test ends. It returns the process and its address, which the first group of the expression started matches in the log.
func serve(t *testing.T, name string, started *regexp.Regexp, env []string, arguments ...string) (*os.Process, string) {
	t.Helper()
	image := here(t, name)
	cmd := command(t, image, unpack(t, image), env, arguments...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v\n%s", err, permission)
	}
	addr := make(chan string, 1)
	var all strings.Builder
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(addr)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(&all, lines.Text())
			if m := started.FindStringSubmatch(lines.Text()); m != nil {
				addr <- m[1]
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s failed after SIGTERM: %v\n%s", name, err, &all)
		}
	})
	at, ok := <-addr
	if !ok {
		<-read
		t.Fatalf("%s did not start:\n%s", name, &all)
	}
	return cmd.Process, at
}

// TestRun_ImagesWorkTogether runs the images of server, adapter and proxy: the adapter replays a recording to the server, and the test reads it through the proxy.
func TestRun_ImagesWorkTogether(t *testing.T) {
	process, server := serve(t, "openova-flow-server", regexp.MustCompile(`msg=started .*url=http://(\S+?)/? `),
		[]string{"FLOW_SERVER_LISTEN_ADDR=127.0.0.1:0", "FLOW_SERVER_INSECURE=true", "FLOW_SERVER_DRAIN_DELAY=0s"})
	checkConfined(t, process, here(t, "openova-flow-server"))
	if got := get(t, "http://"+server+"/healthz"); got.StatusCode != http.StatusOK {
		t.Errorf("the server's health is %s", got.Status)
	}
	image := here(t, "openova-flow-server")
	if _, stderr, code := once(t, command(t, image, unpack(t, image), []string{"FLOW_SERVER_LISTEN_ADDR=" + server}, "healthcheck")); code != 0 {
		t.Errorf("healthcheck: exit code %d: %s", code, stderr)
	}

	recording, err := os.Open("../../products/openova-flow/adapter-flux/testdata/recordings/scenarios.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer recording.Close()
	image = here(t, "openova-flow-adapter-flux")
	replay := command(t, image, unpack(t, image), []string{"FLOW_SERVER_URL=http://" + server, "FLOW_ID=played", "NAMESPACE_FILTER="}, "replay", "--speed", "max", "fsn1=-")
	replay.Stdin = recording
	if _, stderr, code := once(t, replay); code != 0 {
		t.Fatalf("replay: exit code %d: %s", code, stderr)
	}

	_, proxy := serve(t, "openova-flow-proxy", regexp.MustCompile(`"msg":"started","addr":"([^"]+)"`),
		[]string{"FLOW_PROXY_LISTEN_ADDR=127.0.0.1:0", "FLOW_PROXY_UPSTREAM_URL=http://" + server, "FLOW_PROXY_FLOWS=played"})
	answer := get(t, "http://"+proxy+"/v1/flows/played/snapshot")
	var snapshot struct {
		Nodes []json.RawMessage `json:"nodes"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&snapshot); err != nil || len(snapshot.Nodes) == 0 {
		t.Errorf("the proxy answers %s with %d nodes: %v", answer.Status, len(snapshot.Nodes), err)
	}
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func checkConfined(t *testing.T, process *os.Process, image v1.Image) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", process.Pid)
	read := func(name string) string {
		text, err := os.ReadFile(proc + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if mounts := strings.Split(strings.TrimSpace(read("mountinfo")), "\n"); len(mounts) != 1 || !regexp.MustCompile(` / ro[, ]`).MatchString(mounts[0]) {
		t.Errorf("want one read-only mount, got\n%s", strings.Join(mounts, "\n"))
	}
	status := read("status")
	for _, line := range []string{"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(status, line+"\n") {
			t.Errorf("no %q in the process's status:\n%s", line, status)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	uid, _, _ := strings.Cut(config.Config.User, ":")
	if got := strings.Fields(read("uid_map")); !slices.Equal(got, []string{uid, fmt.Sprint(os.Getuid()), "1"}) {
		t.Errorf("uid_map is %s", got)
	}
	if command := strings.Split(read("cmdline"), "\x00")[0]; command != config.Config.Entrypoint[0] {
		t.Errorf("%s runs", command)
	}
}

func TestRun_ImagesPrintTheirVersion(t *testing.T) {
	for _, name := range []string{"openova-flow-server", "openova-flow-server-jetstream", "openova-flow-adapter-flux", "openova-flow-relay"} {
		image := here(t, name)
		if stdout, _, code := once(t, command(t, image, unpack(t, image), nil, "version")); code != 0 || stdout != testVersion+"\n" {
			t.Errorf("%s version prints %q, exit code %d", name, stdout, code)
		}
	}
}

func TestRun_AdapterNamesMissingSettings(t *testing.T) {
	image := here(t, "openova-flow-adapter-flux")
	_, stderr, code := once(t, command(t, image, unpack(t, image), nil, "replay", "fsn1=-"))
	if code != 1 || !strings.Contains(stderr, "FLOW_SERVER_URL") || !strings.Contains(stderr, "FLOW_ID") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestRun_AdapterTrustsTheImagesCertificates has a server whose certificate is missing in the image's list, and then added.
func TestRun_AdapterTrustsTheImagesCertificates(t *testing.T) {
	var asked atomic.Int64
	remote := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	remote.Config.ErrorLog = log.New(io.Discard, "", 0) // discard logs of handshakes that must fail
	remote.StartTLS()
	defer remote.Close()
	image := here(t, "openova-flow-adapter-flux")
	for _, trusted := range []bool{false, true} {
		root := unpack(t, image)
		if trusted {
			list, err := os.OpenFile(filepath.Join(root, caFile), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			err = pem.Encode(list, &pem.Block{Type: "CERTIFICATE", Bytes: remote.Certificate().Raw})
			if err := errors.Join(err, list.Close()); err != nil {
				t.Fatal(err)
			}
		}
		cmd := command(t, image, root, []string{"FLOW_SERVER_URL=" + remote.URL, "FLOW_ID=f", "LOG_FORMAT=text"}, "replay", "fsn1=-")
		recording, err := os.Open("../../products/openova-flow/adapter-flux/testdata/recordings/scenarios.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		defer recording.Close()
		cmd.Stdin = recording
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The program retries forever: wait only for the log of the first failure.
		var line string
		for lines := bufio.NewScanner(stderr); !strings.Contains(line, " err=") && lines.Scan(); {
			line = lines.Text()
		}
		_ = cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, stderr)
		_ = cmd.Wait()
		if accepted := asked.Load() > 0; accepted != trusted {
			t.Errorf("certificate in the list: %v; server trusted: %v: %s", trusted, accepted, line)
		}
		if !trusted && !strings.Contains(line, "x509") {
			t.Errorf("the output does not name the certificate's error: %s", line)
		}
	}
}
