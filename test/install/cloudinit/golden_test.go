package cloudinit

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "update the golden files")

func TestUserData_Golden(t *testing.T) {
	out, _ := newWorkspace(t).apply(t, deployment().with(inputs{
		"ingest_tokens":  map[string]string{"fsn1": "token-of-fsn1-" + strings.Repeat("x", 32), "hel1": "token-of-hel1-" + strings.Repeat("x", 32)},
		"operator_token": "token-of-people-" + strings.Repeat("x", 32),
	}))
	for name, region := range map[string]string{"primary": "fsn1", "secondary": "hel1"} {
		file := filepath.Join("testdata", name+".golden.yaml")
		if *update {
			write(t, file, out.UserData[region])
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, wanted := strings.Split(out.UserData[region], "\n"), strings.Split(string(want), "\n")
		for i := range max(len(got), len(wanted)) {
			if i >= len(got) || i >= len(wanted) || got[i] != wanted[i] {
				t.Errorf("differs from %s from line %d on; go test ./cloudinit -update rewrites it", file, i+1)
				break
			}
		}
	}
	if want := "https://openova-flow.example.com/?flow=4711"; out.FlowURL != want {
		t.Errorf("flow_url = %s, want %s", out.FlowURL, want)
	}
}
