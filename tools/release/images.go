package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// published is the registry folder of a release's images.
const published = "ghcr.io/openova-io/openova"

const refName = "org.opencontainers.image.ref.name"

// file is a file of an image or of an archive.
type file struct {
	path    string
	mode    int64
	content []byte
}

// writeImages replaces the folder by one with an OCI layout for each program: an index of the platforms, and an SBOM for each platform.
func writeImages(ctx context.Context, s state, all []program, platforms []platform, folder string) error {
	// Remnants of an earlier build would be pushed with this one.
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	for _, p := range all {
		if err := writeImage(ctx, s, p, platforms, filepath.Join(folder, p.name)); err != nil {
			return fmt.Errorf("image %s: %w", p.name, err)
		}
	}
	return nil
}

func writeImage(ctx context.Context, s state, p program, platforms []platform, folder string) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var sboms []v1.Image
	for _, on := range platforms {
		image, sbom, err := makeImage(ctx, s, p, on)
		if err != nil {
			return fmt.Errorf("%s: %w", on, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: on.os, Architecture: on.arch}}})
		sboms = append(sboms, sbom)
	}
	index = mutate.Annotations(index, labels(s, p)).(v1.ImageIndex)
	into, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	err = into.AppendIndex(index, layout.WithAnnotations(map[string]string{
		refName:                    s.version,
		"io.containerd.image.name": published + "/" + p.name + ":" + s.version,
	}))
	if err != nil {
		return err
	}
	for _, sbom := range sboms {
		if err := into.AppendImage(sbom); err != nil {
			return err
		}
	}
	return nil
}

// makeImage returns the image of a program, and the SBOM of the image, whose subject is the image.
func makeImage(ctx context.Context, s state, p program, on platform) (image, sbom v1.Image, err error) {
	scratch, err := os.MkdirTemp("", "release-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(scratch)
	binary, err := compile(ctx, s, p, on, scratch)
	if err != nil {
		return nil, nil, err
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, nil, err
	}
	roots, err := rootsPEM()
	if err != nil {
		return nil, nil, err
	}
	// Two layers, since the certificates are the same in all images and in many releases.
	var layers []mutate.Addendum
	for _, f := range []file{{caFile, 0o644, roots}, {"/" + p.name, 0o755, program}} {
		layer, err := makeLayer(f)
		if err != nil {
			return nil, nil, err
		}
		layers = append(layers, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: s.created}, CreatedBy: "COPY " + f.path}})
	}
	image = mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: on.os, Architecture: on.arch, Created: v1.Time{Time: s.created},
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User:         user,
			Entrypoint:   []string{"/" + p.name},
			Env:          p.env,
			WorkingDir:   "/",
			ExposedPorts: map[string]struct{}{p.port + "/tcp": {}},
			Labels:       labels(s, p),
		},
	})
	if err != nil {
		return nil, nil, err
	}
	if image, err = mutate.Append(image, layers...); err != nil {
		return nil, nil, err
	}
	image = mutate.Annotations(image, labels(s, p)).(v1.Image)
	bom, err := makeSBOM(s, p, on, binary)
	if err != nil {
		return nil, nil, err
	}
	subject, err := partial.Descriptor(image)
	if err != nil {
		return nil, nil, err
	}
	sbom, err = newArtifact(bom, sbomType, *subject, map[string]string{
		"org.opencontainers.image.created": s.created.Format(time.RFC3339),
		"org.opencontainers.image.title":   p.name + "-" + on.os + "-" + on.arch + ".cdx.json",
	})
	return image, sbom, err
}

func labels(s state, p program) map[string]string {
	all := map[string]string{
		"org.opencontainers.image.title":       p.name,
		"org.opencontainers.image.description": p.description,
		"org.opencontainers.image.version":     s.version,
		"org.opencontainers.image.licenses":    license,
		"org.opencontainers.image.source":      source,
		"org.opencontainers.image.created":     s.created.Format(time.RFC3339),
	}
	if s.revision != "" {
		all["org.opencontainers.image.revision"] = s.revision
	}
	return all
}

// makeLayer returns a layer with a file and its parent folders, owned by root, with all timestamps 0.
func makeLayer(f file) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	folders := strings.Split(strings.Trim(path.Dir(f.path), "/"), "/")
	for i := range folders {
		if folders[i] == "" {
			break
		}
		name := strings.Join(folders[:i+1], "/") + "/"
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
			return nil, err
		}
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.path, "/"), Mode: f.mode, Size: int64(len(f.content)), ModTime: time.Unix(0, 0)}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(f.content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}
