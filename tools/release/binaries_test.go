package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/macho"
	"debug/pe"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestBinaries_ProgramsOfThisSystemRun(t *testing.T) {
	folder := t.TempDir()
	var output bytes.Buffer
	err := run(t.Context(), []string{"binaries", "--root", "../..", "--version", testVersion, "--out", folder, "--platforms", "linux/" + runtime.GOARCH}, &output, &output)
	if err != nil {
		t.Fatal(err, output.String())
	}
	checkSums(t, folder, 1)
	name := "openova-flow_" + testVersion + "_linux_" + runtime.GOARCH
	unpacked := untar(t, filepath.Join(folder, name+".tar.gz"))
	if _, err := fs.Stat(unpacked, name+"/LICENSE"); err != nil {
		t.Error(err)
	}
	root := t.TempDir()
	if err := os.CopyFS(root, unpacked); err != nil {
		t.Fatal(err)
	}
	for program, argument := range map[string]string{"openova-flow-server": "version", "openova-flow-server-jetstream": "version", "openova-flow-adapter-flux": "version", "openova-flow-proxy": "-h", "openova-flow-relay": "version"} {
		text, err := exec.Command(filepath.Join(root, name, program), argument).CombinedOutput()
		if err != nil || argument == "version" && string(text) != testVersion+"\n" {
			t.Errorf("%s %s: %v\n%s", program, argument, err, text)
		}
	}
}

// TestBinaries_OtherSystemsHaveTheirFormats leaves out the adapter, which has no OS-specific files and compiles slowly.
func TestBinaries_OtherSystemsHaveTheirFormats(t *testing.T) {
	folder := t.TempDir()
	s := state{root: "../..", version: testVersion, created: time.Unix(1700000000, 0).UTC()}
	few := slices.DeleteFunc(slices.Clone(programs), func(p program) bool { return p.name == "openova-flow-adapter-flux" })
	if err := writeBinaries(t.Context(), s, few, []platform{{"darwin", "arm64"}, {"windows", "amd64"}}, folder); err != nil {
		t.Fatal(err)
	}
	checkSums(t, folder, 2)
	name := "openova-flow_" + testVersion + "_windows_amd64"
	windows, err := zip.OpenReader(filepath.Join(folder, name+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer windows.Close()
	name2 := "openova-flow_" + testVersion + "_darwin_arm64"
	darwin := untar(t, filepath.Join(folder, name2+".tar.gz"))
	for _, p := range few {
		text, err := fs.ReadFile(windows, name+"/"+p.name+".exe")
		if err != nil {
			t.Fatal(err)
		}
		if binary, err := pe.NewFile(bytes.NewReader(text)); err != nil || binary.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
			t.Errorf("%s is not a Windows program: %v", p.name, err)
		}
		if text, err = fs.ReadFile(darwin, name2+"/"+p.name); err != nil {
			t.Fatal(err)
		}
		if binary, err := macho.NewFile(bytes.NewReader(text)); err != nil || binary.Cpu != macho.CpuArm64 {
			t.Errorf("%s is not a macOS program: %v", p.name, err)
		}
	}
}

func checkSums(t *testing.T, folder string, archives int) {
	t.Helper()
	verify := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	verify.Dir = folder
	if text, err := verify.CombinedOutput(); err != nil || bytes.Count(text, []byte(": OK\n")) != archives {
		t.Errorf("the checksums: %v\n%s", err, text)
	}
}

func untar(t *testing.T, archive string) fs.FS {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[path.Clean(h.Name)] = &fstest.MapFile{Data: content, Mode: h.FileInfo().Mode()}
	}
}

func TestRun_PrintsItsHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"help"}, {"-h"}, {"--help"}} {
		var output bytes.Buffer
		if err := run(t.Context(), args, &output, io.Discard); err != nil || output.String() != usage {
			t.Errorf("%q: %v\n%s", args, err, &output)
		}
	}
}

func TestRun_RejectsInvalidVersions(t *testing.T) {
	for _, version := range []string{"", "v1.0.0", "1.0 0", "-1", "1.0.0+meta", `1"`, strings.Repeat("1", 129)} {
		for _, args := range [][]string{{"binaries", "--out", t.TempDir()}, {"images", "--out", t.TempDir()}, {"check", "--root", "../.."}} {
			if err := run(t.Context(), append(args, "--version", version), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "--version") {
				t.Errorf("%s with the version %q: %v", args[0], version, err)
			}
		}
	}
}
