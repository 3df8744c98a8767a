package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// writeBinaries replaces the folder by one with an archive of all programs and the licence for each platform, and SHA256SUMS.
func writeBinaries(ctx context.Context, s state, all []program, platforms []platform, folder string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(s.root, "LICENSE"))
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, on := range platforms {
		files := []file{{"LICENSE", 0o644, licence}}
		built, err := buildAll(ctx, s, all, on)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("openova-flow_%s_%s_%s", s.version, on.os, on.arch)
		pack, suffix := packTarGz, ".tar.gz"
		if on.os == "windows" {
			pack, suffix = packZip, ".zip"
		}
		content, err := pack(name, s.created, append(files, built...))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name+suffix), content, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), name+suffix)
	}
	return os.WriteFile(filepath.Join(folder, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

func buildAll(ctx context.Context, s state, all []program, on platform) ([]file, error) {
	scratch, err := os.MkdirTemp("", "release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	var files []file
	for _, p := range all {
		binary, err := compile(ctx, s, p, on, scratch)
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(binary)
		if err != nil {
			return nil, err
		}
		files = append(files, file{filepath.Base(binary), 0o755, content})
	}
	return files, nil
}

// packTarGz and packZip put the files into one top-level folder.
func packTarGz(folder string, at time.Time, files []file) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: folder + "/" + f.path, Mode: f.mode, Size: int64(len(f.content)), ModTime: at}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err := z.Close()
	return b.Bytes(), err
}

func packZip(folder string, at time.Time, files []file) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		header := &zip.FileHeader{Name: folder + "/" + f.path, Method: zip.Deflate, Modified: at}
		header.SetMode(os.FileMode(f.mode))
		into, err := w.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := into.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}
