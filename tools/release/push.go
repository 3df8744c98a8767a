package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// pushImages pushes every layout in the folder to a registry, with its SBOMs as referrers. For each layout it prints the reference of the index, then for each
// platform the reference of the image and the file of its SBOM. The references have digests.
func pushImages(ctx context.Context, folder, to string, stdout io.Writer) error {
	layouts, err := filepath.Glob(filepath.Join(folder, "*", "index.json"))
	if err != nil {
		return err
	}
	if len(layouts) == 0 {
		return fmt.Errorf("%s has no images: run make images first", folder)
	}
	for _, index := range layouts {
		// Print absolute paths, since the output is used in other folders.
		if index, err = filepath.Abs(index); err != nil {
			return err
		}
		if err := pushImage(ctx, filepath.Dir(index), to, stdout); err != nil {
			return fmt.Errorf("push %s: %w", filepath.Dir(index), err)
		}
	}
	return nil
}

func pushImage(ctx context.Context, folder, to string, stdout io.Writer) error {
	repository, err := name.NewRepository(to + "/" + filepath.Base(folder))
	if err != nil {
		return err
	}
	from, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return err
	}
	manifest, err := from.IndexManifest()
	if err != nil {
		return err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	for _, entry := range manifest.Manifests {
		if version := entry.Annotations[refName]; entry.MediaType.IsIndex() {
			index, err := from.ImageIndex(entry.Digest)
			if err != nil {
				return err
			}
			if err := remote.WriteIndex(repository.Tag(version), index, options...); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(stdout, "image", repository.Digest(entry.Digest.String())); err != nil {
				return err
			}
			continue
		}
		if err := pushSBOM(from, entry, repository, folder, stdout, options); err != nil {
			return err
		}
	}
	return nil
}

// pushSBOM pushes an SBOM. For the attestation it prints the reference of the image, and the file of the SBOM in the layout.
func pushSBOM(from v1.ImageIndex, entry v1.Descriptor, repository name.Repository, folder string, stdout io.Writer, options []remote.Option) error {
	sbom, err := from.Image(entry.Digest)
	if err != nil {
		return err
	}
	if err := remote.Write(repository.Digest(entry.Digest.String()), sbom, options...); err != nil {
		return err
	}
	manifest, err := sbom.Manifest()
	if err != nil {
		return err
	}
	blob := filepath.Join(folder, "blobs", manifest.Layers[0].Digest.Algorithm, manifest.Layers[0].Digest.Hex)
	if _, err := os.Stat(blob); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, "sbom", repository.Digest(manifest.Subject.Digest.String()), blob)
	return err
}
