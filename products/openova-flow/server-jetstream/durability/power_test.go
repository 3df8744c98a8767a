//go:build unix

package durability

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/internal/natstest"
)

// recorded builds the server with a package os that maintains a second directory, FLOW_TEST_SYNCED: the files of FLOW_TEST_WRITTEN, each with the
// content that its last successful Sync, or write with O_SYNC, has covered.
var recorded = sync.OnceValues(func() (string, error) {
	dir, err := natstest.Scratch()
	if err != nil {
		return "", err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src/os")
	replace := map[string]string{}
	for name, changes := range map[string][][2]string{
		"file.go": {
			{"func (f *File) Write(b []byte) (n int, err error) {", "func (f *File) Write(b []byte) (n int, err error) {\n\tdefer func() { wroteForTest(f, err) }()"},
			{"\tf.appendMode = flag&O_APPEND != 0\n", "\tf.appendMode = flag&O_APPEND != 0\n\topenedForTest(f, flag)\n"},
			{"\treturn rename(oldpath, newpath)\n", "\treturn renameForTest(oldpath, newpath)\n"},
		},
		"file_posix.go": {{"\tif e := f.pfd.Fsync(); e != nil {", "\tif e := syncForTest(f); e != nil {"}},
		"file_unix.go":  {{"func Remove(name string) error {", "func Remove(name string) error {\n\tdefer removedForTest(name)"}},
		"path.go":       {{"func RemoveAll(path string) error {", "func RemoveAll(path string) error {\n\tdefer removedForTest(path)"}},
	} {
		from := filepath.Join(source, name)
		b, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		text := string(b)
		for _, c := range changes {
			if strings.Count(text, c[0]) != 1 {
				return "", fmt.Errorf("%s: line %q not found once; adapt it to this version of Go", from, c[0])
			}
			text = strings.Replace(text, c[0], c[1], 1)
		}
		replace[from] = filepath.Join(dir, name)
		if err := os.WriteFile(replace[from], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	here, err := filepath.Abs("synced.go.overlay")
	if err != nil {
		return "", err
	}
	replace[filepath.Join(source, "synced.go")] = here
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-trimpath", "-overlay="+overlay, "-o", program, "../cmd/openova-flow-server-jetstream")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return program, nil
})

// TestServer_PowerCutLosesNothing simulates power failures of a server with embedded JetStream at random moments while writers post, delete and create flows. The
// server restarts with the synced content of its files only, or with that and a torn half of the rest:
//
//   - A file has the content covered by its last fsync or write with O_SYNC. Later writes and truncations are lost. If a file that was never synced is
//     renamed over it, the old content stays; a synced one replaces it.
//   - Torn: a file also has the first half of what was appended since, or of everything if it was never synced.
//
// Not modelled: renames and removals are durable at once, without a sync of the directory; disks do not reorder sectors and do not lie about syncs.
func TestServer_PowerCutLosesNothing(t *testing.T) {
	t.Parallel() // mostly waits
	const ring = 16
	dir := t.TempDir()
	written, synced := filepath.Join(dir, "written"), filepath.Join(dir, "synced")
	if err := os.Mkdir(synced, 0o700); err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, []string{"FLOW_TEST_WRITTEN=" + written, "FLOW_TEST_SYNCED=" + synced}, "--data-dir="+written, fmt.Sprint("--ring-capacity=", ring))
	p.build = recorded
	cuts := 0
	churn(t, p, ring, 16, func() {
		p.kill()
		if cuts++; cuts%2 == 0 {
			if err := tear(written, synced); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.RemoveAll(written); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(written, os.DirFS(synced)); err != nil {
			t.Fatal(err)
		}
	})
}

// tear adds to synced the first half of what was appended to each file since its last sync, or of the whole file if it was never synced.
func tear(written, synced string) error {
	return filepath.WalkDir(written, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		has, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		to := filepath.Join(synced, strings.TrimPrefix(path, written))
		had, err := os.ReadFile(to)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !bytes.HasPrefix(has, had) {
			return nil // overwritten, not appended to
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return os.WriteFile(to, has[:(len(had)+len(has))/2], 0o600)
	})
}
