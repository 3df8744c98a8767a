package install

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestDockerfiles_Build runs the build command of each Dockerfile without a container, and checks lines of its final image.
func TestDockerfiles_Build(t *testing.T) {
	for folder, program := range map[string]string{"openova-flow-server": "openova-flow-server", "openova-flow-server-jetstream": "openova-flow-server-jetstream", "openova-flow-emitter": "openova-flow-adapter-flux", "openova-flow-proxy": "openova-flow-proxy", "openova-flow-relay": "openova-flow-relay"} {
		t.Run(folder, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("../../platform", folder, "Dockerfile"))
			if err != nil {
				t.Fatal(err)
			}
			file := string(text)
			for _, line := range []string{"FROM scratch", "USER 65532:65532", `ENTRYPOINT ["/` + program + `"]`, "COPY --from=build /out/" + program + " /" + program,
				"COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt"} {
				if !strings.Contains(file, "\n"+line+"\n") {
					t.Error("no line ", line)
				}
			}
			// Build only from copied files.
			source, out := t.TempDir(), t.TempDir()
			for _, m := range regexp.MustCompile(`(?m)^COPY (products\S+) (\S+)$`).FindAllStringSubmatch(file, -1) {
				if err := os.CopyFS(filepath.Join(source, m[2]), os.DirFS(filepath.Join("../..", m[1]))); err != nil {
					t.Fatal(err)
				}
			}
			run := regexp.MustCompile(`(?m)^RUN (.*)$`).FindStringSubmatch(file)
			if len(run) != 2 {
				t.Fatal("no RUN")
			}
			cmd := exec.Command("sh", "-c", strings.ReplaceAll(run[1], "/out/", out+"/"))
			cmd.Dir = source
			cmd.Env = append(os.Environ(), "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH, "VERSION=1.2.3")
			if text, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			binary, err := elf.Open(filepath.Join(out, program))
			if err != nil {
				t.Fatal(err)
			}
			defer binary.Close()
			for _, p := range binary.Progs {
				if p.Type == elf.PT_INTERP {
					t.Error("the program needs a dynamic loader, which an empty image lacks")
				}
			}
			if runtime.GOOS != "linux" || program == "openova-flow-proxy" {
				return // a program for another system cannot run here; the proxy has no version
			}
			if text, err := exec.Command(filepath.Join(out, program), "version").Output(); err != nil || !strings.Contains(string(text), "1.2.3") {
				t.Errorf("version %q: %v", text, err)
			}
		})
	}
}
