package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func withState(t *testing.T, path string) *program {
	t.Helper()
	return spawn(t, command(t, "--state-file="+path))
}

func firstFrames(t *testing.T, url, lastEventID string, n int) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", lastEventID)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var frames []string
	frame := ""
	for in := bufio.NewScanner(resp.Body); len(frames) < n && in.Scan(); {
		if frame += in.Text() + "\n"; in.Text() == "" {
			frames = append(frames, frame)
			frame = ""
		}
	}
	if len(frames) < n {
		t.Fatalf("the stream ends after %q", frames)
	}
	return frames
}

// claim claims region r1 of flow F, or renews the claim.
func claim(t *testing.T, url string) {
	t.Helper()
	req, _ := http.NewRequest(http.MethodPut, url+"/v1/flows/F/regions/r1", strings.NewReader(`{"cluster":"one"}`))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
}

func TestStateFile_RestoresAfterShutdown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flows.state")
	p := withState(t, path)
	post(t, p.url, `{"type":"upsert-nodes","nodes":[`+nodeJSON("r1", "r1", "running", "")+`,`+nodeJSON("r1/a", "r1", "running", `,"startedAt":5,"unknown":[1.50,"ü"]`)+`]}
{"type":"upsert-rels","relationships":[{"fromId":"r1/a","toId":"r1","type":"contains"}]}`)
	before, state := get(t, http.DefaultClient, p.url+"/v1/flows/F/snapshot")
	_, rollouts := get(t, http.DefaultClient, p.url+"/v1/flows/F/rollouts")
	claim(t, p.url)
	id := firstFrames(t, p.url+"/v1/flows/F/stream", "", 3)[2] // after a heartbeat and the regions
	last, _, _ := strings.Cut(strings.TrimPrefix(id, "id: "), "\n")
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil {
		t.Fatal(err)
	} else if info.Mode().Perm() != 0o600 {
		t.Errorf("the mode of the file is %v", info.Mode())
	}

	p = withState(t, path)
	after, again := get(t, http.DefaultClient, p.url+"/v1/flows/F/snapshot")
	if after.StatusCode != 200 || again != state {
		t.Errorf("after the restart: %s\n%s\nwant\n%s", after.Status, again, state)
	}
	if _, got := get(t, http.DefaultClient, p.url+"/v1/flows/F/rollouts"); got != rollouts {
		t.Errorf("rollouts are\n%s\nwant\n%s", got, rollouts)
	}
	incarnation := after.Header.Get("Flow-Incarnation")
	if incarnation == before.Header.Get("Flow-Incarnation") || incarnation == "none" {
		t.Errorf("the incarnation is still %s", incarnation)
	}
	stale := `"regions":{"r1":{"state":"stale",`
	if regions := firstFrames(t, p.url+"/v1/flows/F/stream", "", 2)[1]; !strings.Contains(regions, stale) {
		t.Errorf("after the restart, before the claim is renewed, the second frame is %s; want %s", regions, stale)
	}
	claim(t, p.url)
	if regions := firstFrames(t, p.url+"/v1/flows/F/stream", "", 2)[1]; !strings.Contains(regions, strings.Replace(stale, "stale", "fresh", 1)) {
		t.Errorf("after the claim is renewed, the second frame is %s; want the region fresh", regions)
	}
	for _, stream := range []string{"/v1/flows/F/stream", "/v1/stream"} {
		frames := firstFrames(t, p.url+stream, last, 4-strings.Count(stream, "F"))
		frame := frames[len(frames)-1]
		number, _, _ := strings.Cut(strings.TrimPrefix(frame, "id: "), "\n")
		now, err := strconv.ParseInt(number, 10, 64)
		then, _ := strconv.ParseInt(last, 10, 64)
		if !strings.Contains(frame, "snapshot\ndata: "+strings.TrimSpace(state)) || err != nil || now <= then {
			t.Errorf("%s resumed after %s: the last of the first frames is %q, want a snapshot with a greater id", stream, last, frame)
		}
	}
	req, _ := http.NewRequest(http.MethodPost, p.url+"/v1/flows/F/events", strings.NewReader(`{"type":"delete-nodes","ids":["r1/a"]}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Flow-If-Incarnation", before.Header.Get("Flow-Incarnation"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("a POST for the old incarnation: %v %v", resp, err)
	}
}

func TestStateFile_KillWhileWritingLeavesItIntact(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "flows.state")
	p := withState(t, path)
	post(t, p.url, `{"type":"upsert-nodes","nodes":[`+nodeJSON("first", "", "running", "")+`]}`)
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var left []string
	for try := 0; len(left) == 0; try++ {
		if try == 10 {
			t.Fatal("no kill hit the server while it was writing")
		}
		p = withState(t, path)
		if resp, body := get(t, http.DefaultClient, p.url+"/v1/flows/F/snapshot"); resp.StatusCode != 200 || !strings.Contains(body, `"first"`) {
			t.Fatalf("%s %.200s", resp.Status, body)
		}
		for i := range 20 { // about 20 MB to write
			nodes := make([]string, 20)
			for j := range nodes {
				nodes[j] = nodeJSON(fmt.Sprintf("n%d-%d", i, j), "", "running", `,"meta":{"x":"`+strings.Repeat("x", 50_000)+`"}`)
			}
			post(t, p.url, `{"type":"upsert-nodes","nodes":[`+strings.Join(nodes[:10], ",")+`]}`+"\n"+`{"type":"upsert-nodes","nodes":[`+strings.Join(nodes[10:], ",")+`]}`)
		}
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(within); len(left) == 0 && len(p.end) == 0 && time.Now().Before(deadline); { // retried if the server was faster
			left, _ = filepath.Glob(filepath.Join(dir, "*.tmp"))
		}
		_ = p.cmd.Process.Kill()
		_ = p.wait()
		left, _ = filepath.Glob(filepath.Join(dir, "*.tmp"))
	}
	p = withState(t, path)
	if resp, body := get(t, http.DefaultClient, p.url+"/v1/flows/F/snapshot"); resp.StatusCode != 200 || !strings.Contains(body, `"first"`) {
		t.Fatalf("%s %.200s", resp.Status, body)
	}
	if left, _ = filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

func TestStateFile_UnusableIsRenamed(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	p := withState(t, whole)
	post(t, p.url, `{"type":"upsert-nodes","nodes":[`+nodeJSON("a", "", "running", "")+`]}`)
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		content, as string
	}{
		"truncated": {string(text[:len(text)-30]), ".damaged"},
		"damaged":   {strings.Replace(string(text), "running", "runninG", 1), ".damaged"},
		"empty":     {"", ".damaged"},
		"newer":     {strings.Replace(string(text), `State":1`, `State":2`, 1), ".newer"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			p := withState(t, path)
			p.log.wait(t, `level=ERROR msg="state file not usable, starting without it" file=`+path+` as=`+path+tt.as+` err=`)
			if n := metric(t, p.url, "openova_flow_state_set_aside_total"); n != "1" {
				t.Errorf("openova_flow_state_set_aside_total is %s", n)
			}
			if _, err := os.Lstat(path + tt.as); err != nil {
				t.Error(err)
			}
			if resp, _ := get(t, http.DefaultClient, p.url+"/readyz"); resp.StatusCode != 200 {
				t.Errorf("readyz: %s", resp.Status)
			}
			post(t, p.url, `{"type":"upsert-nodes","nodes":[`+nodeJSON("a", "", "running", "")+`]}`)
			if err := p.signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if _, err := os.ReadFile(path); err != nil {
				t.Errorf("no new state was written: %v", err)
			}
		})
	}
}

func TestStateFile_UnwritableStopsTheStart(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "not", "there"), "/proc/flows.state"} {
		cmd := command(t, "--state-file="+path)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), fmt.Sprintf(`invalid FLOW_SERVER_STATE_FILE %q: `, path)) ||
			!strings.Contains(string(out), "allowed: ") {
			t.Errorf("%s: %v %s", path, err, out)
		}
	}
	out, err := command(t, "--state-file="+filepath.Join(dir, "\n::error::\x1b[2J", "x")).CombinedOutput()
	if err == nil || strings.Count(string(out), "\n") != 1 || strings.Contains(string(out), "\x1b") {
		t.Errorf("the path is printed unescaped: %v %q", err, out)
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("leftover files: %v, %v", left, err)
	}
}

func TestServer_WithoutStateFileWritesNothing(t *testing.T) {
	cmd := command(t)
	cmd.Dir = t.TempDir()
	p := spawn(t, cmd)
	post(t, p.url, `{"type":"upsert-nodes","nodes":[`+nodeJSON("a", "", "running", "")+`]}`)
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(cmd.Dir); len(left) > 0 || err != nil {
		t.Errorf("%v, %v", left, err)
	}
}
