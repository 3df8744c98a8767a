package main

import (
	"bufio"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch/apitest"
)

func TestRecord_ReplaysToTheSameEnd(t *testing.T) {
	k8s, kubeconfig := cluster(t)
	k8s.SetClock(-10 * time.Minute) // has no effect: times in a recording are by the recording machine's clock
	path := filepath.Join(t.TempDir(), "out.jsonl")
	began := time.Now().UnixMilli()
	recorder := spawn(t, []string{"KUBECONFIG=" + kubeconfig}, adapterBinary, "record", "-o", path)
	eventually(t, "all kinds are watched", recorder.out, func() bool { return k8s.Requests("watch=") >= len(watch.Kinds) })
	write(t, k8s, "kit-hel1")
	want := truth(t, "r", "kit-hel1")
	content := func() string { b, _ := os.ReadFile(path); return string(b) }
	eventually(t, "the last event is written", recorder.out, func() bool {
		return strings.Contains(content(), `"resourceVersion":"`+k8s.Version()+`"`) && strings.HasSuffix(content(), "\n")
	})
	recorder.terminate(t)
	if recorder.exitErr != nil {
		t.Errorf("record ended with %v:\n%s", recorder.exitErr, recorder.out)
	}
	if got := statuses(fold(t, "replay", dryRun(t, nil, "", "r="+path)).Snapshot().Nodes); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for line := range strings.Lines(content()) {
		var e struct{ At int64 }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.At < began || e.At > time.Now().UnixMilli() {
			t.Fatalf("at is %d (%v) in %s", e.At, err, line)
		}
	}
}

func TestRecord_LogsMissingKinds(t *testing.T) {
	k8s, kubeconfig := cluster(t)
	k8s.Fail(-1, apitest.Forbidden("list", "kustomizations", "kustomize.toolkit.fluxcd.io", `in the namespace "apps"`), func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/kustomizations")
	})
	k8s.Put(watch.Kinds[0].Resource, object(1, "True", "one"))
	for _, c := range []struct{ filter, namespaces string }{{"", "all"}, {"flux-system,apps", "flux-system,apps"}} {
		path := filepath.Join(t.TempDir(), "out.jsonl")
		recorder := spawn(t, []string{"KUBECONFIG=" + kubeconfig, "NAMESPACE_FILTER=" + c.filter}, adapterBinary, "record", "-o", path)
		eventually(t, "the event is written, and the missing kind known", recorder.out, func() bool {
			b, _ := os.ReadFile(path)
			return len(b) > 0 && strings.Contains(recorder.out.String(), "kind is not watched")
		})
		recorder.terminate(t)
		for _, want := range []string{`"kind is not in the recording","kind":"Kustomization","why":"`, `"recorded","events":1,"namespaces":"` + c.namespaces + `"`} {
			if !strings.Contains(recorder.out.String(), want) {
				t.Errorf("no %s in:\n%s", want, recorder.out)
			}
		}
	}
}

var instant = regexp.MustCompile(`"at":\d+`)

func TestRecord_RedactedKeepsNamesWithoutValues(t *testing.T) {
	k8s, kubeconfig := cluster(t)
	object := map[string]any{
		"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
		"metadata": map[string]any{
			"name": "x", "namespace": "flux-system", "uid": "1", "managedFields": []any{map[string]any{"manager": "kubectl"}},
			"annotations": map[string]any{"kubectl.kubernetes.io/last-applied-configuration": "hunter2", "kept": "yes"},
		},
		"spec": map[string]any{"interval": "1m", "values": map[string]any{
			"db": map[string]any{"password": "hunter2", "port": 5432}, "keys": []any{"hunter2", map[string]any{"token": "hunter2"}}, "empty": map[string]any{},
		}},
	}
	k8s.Put(watch.Kinds[0].Resource, object)
	for _, redacted := range []bool{true, false} {
		args := []string{"record"}
		if redacted {
			args = append(args, "--redact")
		}
		recorder := spawn(t, []string{"KUBECONFIG=" + kubeconfig, "LOG_LEVEL=error"}, adapterBinary, args...)
		eventually(t, "the event is written", recorder.out, func() bool { return strings.HasSuffix(recorder.out.String(), "\n") })
		recorder.terminate(t)
		text := instant.ReplaceAllString(recorder.out.String(), `"at":0`)
		if strings.Contains(text, "managedFields") || strings.Contains(text, "last-applied") || strings.Contains(text, `"kept":"yes"`) == redacted || !strings.Contains(text, `"kept":"`) {
			t.Errorf("redacted %v: %s", redacted, text)
		}
		if got := strings.Contains(text, "hunter2") || strings.Contains(text, "5432"); got == redacted {
			t.Errorf("redacted %v: %s", redacted, text)
		}
		lines := bufio.NewScanner(strings.NewReader(text))
		lines.Scan()
		for _, name := range []string{`"password"`, `"port"`, `"token"`, `"keys"`, `"empty"`, `"interval":"1m"`} {
			if !strings.Contains(lines.Text(), name) {
				t.Errorf("redacted %v: no %s in %s", redacted, name, lines.Text())
			}
		}
	}
}
