package main

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// TestPush_ImagesCanBeReadBack pushes the layouts to a registry, with and without the referrers API, and reads them back.
func TestPush_ImagesCanBeReadBack(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		server := httptest.NewServer(registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0))))
		defer server.Close()
		folder, err := layouts()
		if err != nil {
			t.Fatal(err)
		}
		to := strings.TrimPrefix(server.URL, "http://") + "/openova-io/openova"
		var output bytes.Buffer
		if err := run(t.Context(), []string{"push", "--from", folder, "--to", to}, &output, &output); err != nil {
			t.Fatal(err)
		}
		printed := map[string]string{} // by reference: the file of the SBOM, empty for an image
		for line := range strings.Lines(output.String()) {
			fields := strings.Fields(line)
			switch {
			case len(fields) == 2 && fields[0] == "image":
				printed[fields[1]] = ""
			case len(fields) == 3 && fields[0] == "sbom":
				printed[fields[1]] = fields[2]
			default:
				t.Errorf("unknown line %q", line)
			}
		}
		for _, p := range programs {
			checkPushed(t, p, to, printed)
		}
	}
}

func checkPushed(t *testing.T, p program, to string, printed map[string]string) {
	t.Helper()
	tag, err := name.NewTag(to + "/" + p.name + ":" + testVersion)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := printed[tag.Context().Digest(digest.String()).String()]; !ok {
		t.Errorf("the digest of %s is not printed", tag)
	}
	_, made := layoutOf(t, p)
	if own, err := made.Digest(); err != nil || own != digest {
		t.Errorf("the layout has %s and the registry %s: %v", own, digest, err)
	}
	for _, entry := range entries(t, index) {
		image := tag.Context().Digest(entry.Digest.String())
		attached, err := remote.Referrers(image)
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := attached.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		if len(manifest.Manifests) != 1 {
			t.Fatalf("referrers of %s are %+v", image, manifest.Manifests)
		}
		text, err := os.ReadFile(printed[image.String()])
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, tag.Context().Digest(manifest.Manifests[0].Digest.String()), text)
	}
}

// checkSame compares an SBOM in the registry with the file for its attestation.
func checkSame(t *testing.T, ref name.Digest, text []byte) {
	t.Helper()
	sbom, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := sbom.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if kind, err := partial.ArtifactType(sbom); err != nil || kind != sbomType {
		t.Errorf("the media type of the SBOM is %q: %v", kind, err)
	}
	want, _, err := v1.SHA256(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := layers[0].Digest(); err != nil || got != want {
		t.Errorf("the registry's SBOM is %s and the file's %s: %v", got, want, err)
	}
}

func TestPush_WithoutImagesFails(t *testing.T) {
	if err := run(t.Context(), []string{"push", "--from", t.TempDir()}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "make images") {
		t.Errorf("%v does not name make images", err)
	}
}

func TestPush_FailsIfTheDigestIsNotPrinted(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	folder := t.TempDir()
	into, err := layout.Write(filepath.Join(folder, "program"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: empty.Image})
	if err := into.AppendIndex(index, layout.WithAnnotations(map[string]string{refName: testVersion})); err != nil {
		t.Fatal(err)
	}
	_, closed := io.Pipe()
	closed.Close()
	if err := pushImages(t.Context(), folder, strings.TrimPrefix(server.URL, "http://")+"/o", closed); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v, want %v", err, io.ErrClosedPipe)
	}
}
