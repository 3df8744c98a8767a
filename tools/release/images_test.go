package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const testVersion = "1.2.3"

// layouts are built once, by the command itself, for all tests.
var layouts = sync.OnceValues(func() (string, error) {
	folder := filepath.Join(scratch, "images")
	var output bytes.Buffer
	err := run(background, []string{"images", "--root", "../..", "--version", testVersion, "--out", folder}, &output, &output)
	if err != nil {
		return "", errors.New(err.Error() + output.String())
	}
	return folder, nil
})

// layoutOf returns the layout of a program, and the index of its platforms.
func layoutOf(t *testing.T, p program) (top, platforms v1.ImageIndex) {
	t.Helper()
	folder, err := layouts()
	if err != nil {
		t.Fatal(err)
	}
	if top, err = layout.ImageIndexFromPath(filepath.Join(folder, p.name)); err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries(t, top) {
		if entry.Annotations[refName] == testVersion {
			if platforms, err = top.ImageIndex(entry.Digest); err != nil {
				t.Fatal(err)
			}
		}
	}
	if platforms == nil {
		t.Fatalf("the layout of %s has no entry with the name %s", p.name, testVersion)
	}
	return top, platforms
}

func entries(t *testing.T, index v1.ImageIndex) []v1.Descriptor {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	return manifest.Manifests
}

func imagesOf(t *testing.T, p program) map[platform]v1.Image {
	t.Helper()
	_, index := layoutOf(t, p)
	all := map[platform]v1.Image{}
	for _, entry := range entries(t, index) {
		image, err := index.Image(entry.Digest)
		if err != nil {
			t.Fatal(err)
		}
		all[platform{entry.Platform.OS, entry.Platform.Architecture}] = image
	}
	return all
}

func eachImage(t *testing.T, check func(*testing.T, program, platform, v1.Image)) {
	for _, p := range programs {
		all := imagesOf(t, p)
		for _, on := range []platform{{"linux", "amd64"}, {"linux", "arm64"}} {
			t.Run(p.name+"/"+on.arch, func(t *testing.T) {
				if all[on] == nil || len(all) != 2 {
					t.Fatalf("there are images for %v", slices.Collect(maps.Keys(all)))
				}
				check(t, p, on, all[on])
			})
		}
	}
}

func TestImages_RemnantsOfAnEarlierBuildAreRemoved(t *testing.T) {
	folder := t.TempDir()
	if _, err := layout.Write(filepath.Join(folder, "former-program"), empty.Index); err != nil {
		t.Fatal(err)
	}
	if err := writeImages(t.Context(), state{}, nil, nil, folder); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(left) > 0 {
		t.Errorf("%v are left: %v", left, err)
	}
}

func TestImages_LayoutsAreValid(t *testing.T) {
	for _, p := range programs {
		top, _ := layoutOf(t, p)
		// An SBOM fails this validation because its config is empty. Other tests check the SBOMs.
		for _, entry := range entries(t, top) {
			if !entry.MediaType.IsIndex() {
				continue
			}
			index, err := top.ImageIndex(entry.Digest)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Index(index); err != nil {
				t.Error(p.name, err)
			}
		}
	}
}

func TestImages_EqualTheirDockerfiles(t *testing.T) {
	folders := map[string]string{"openova-flow-server": "openova-flow-server", "openova-flow-server-jetstream": "openova-flow-server-jetstream", "openova-flow-adapter-flux": "openova-flow-emitter", "openova-flow-proxy": "openova-flow-proxy", "openova-flow-relay": "openova-flow-relay"}
	eachImage(t, func(t *testing.T, p program, on platform, image v1.Image) {
		text, err := os.ReadFile(filepath.Join("../../platform", folders[p.name], "Dockerfile"))
		if err != nil {
			t.Fatal(err)
		}
		_, final, _ := strings.Cut(string(text), "\nFROM scratch\n")
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		one := func(instruction string) (arguments []string) {
			for _, m := range regexp.MustCompile(`(?m)^`+instruction+` (.+)$`).FindAllStringSubmatch(final, -1) {
				arguments = append(arguments, m[1])
			}
			return arguments
		}
		if got := one("USER"); !slices.Equal(got, []string{config.Config.User}) {
			t.Errorf("user %s, but %s in the Dockerfile", config.Config.User, got)
		}
		if !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(config.Config.User) {
			t.Errorf("the user %q is root, or not a number", config.Config.User)
		}
		entrypoint, _ := json.Marshal(config.Config.Entrypoint)
		if got := one("ENTRYPOINT"); !slices.Equal(got, []string{string(entrypoint)}) {
			t.Errorf("entrypoint %s, but %s in the Dockerfile", entrypoint, got)
		}
		if got := one("ENV"); !slices.Equal(got, config.Config.Env) {
			t.Errorf("environment %s, but %s in the Dockerfile", config.Config.Env, got)
		}
		if got := one("EXPOSE"); len(got) != 1 || !maps.Equal(config.Config.ExposedPorts, map[string]struct{}{got[0] + "/tcp": {}}) {
			t.Errorf("ports %v, but %s in the Dockerfile", config.Config.ExposedPorts, got)
		}
		labels := 0
		for _, m := range regexp.MustCompile(`(org\.opencontainers\.image\.\w+)="(.*)"`).FindAllStringSubmatch(final, -1) {
			labels++
			if want := strings.ReplaceAll(m[2], "$VERSION", testVersion); config.Config.Labels[m[1]] != want {
				t.Errorf("label %s is %q, but %q in the Dockerfile", m[1], config.Config.Labels[m[1]], want)
			}
		}
		if labels != 5 {
			t.Errorf("the Dockerfile has %d labels", labels)
		}
		if config.OS != on.os || config.Architecture != on.arch || len(config.Config.Cmd) > 0 || len(config.Config.Volumes) > 0 {
			t.Errorf("the config is %+v", config)
		}
		var copied []string
		for _, arguments := range one("COPY --from=build") {
			copied = append(copied, strings.Fields(arguments)[1])
		}
		slices.Sort(copied)
		if got := slices.Sorted(maps.Keys(filesOf(t, image))); !slices.Equal(got, copied) {
			t.Errorf("the image contains %s, but the Dockerfile copies %s", got, copied)
		}
	})
}

func filesOf(t *testing.T, image v1.Image) map[string]*tar.Header {
	t.Helper()
	files := map[string]*tar.Header{}
	walk(t, image, func(h *tar.Header, _ io.Reader) {
		if h.Typeflag != tar.TypeDir {
			files["/"+h.Name] = h
		}
	})
	return files
}

func walk(t *testing.T, image v1.Image, each func(*tar.Header, io.Reader)) {
	t.Helper()
	stream := mutate.Extract(image)
	defer stream.Close()
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		each(h, r)
	}
}

func TestImages_ContainOnlyAStaticBinaryAndCertificates(t *testing.T) {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	eachImage(t, func(t *testing.T, p program, on platform, image v1.Image) {
		walk(t, image, func(h *tar.Header, content io.Reader) {
			if h.Uid != 0 || h.Gid != 0 || h.Mode&0o022 != 0 || h.Mode&0o444 != 0o444 {
				t.Errorf("%s belongs to %d:%d and has mode %o", h.Name, h.Uid, h.Gid, h.Mode)
			}
			switch {
			case h.Typeflag == tar.TypeDir:
			case h.Typeflag != tar.TypeReg:
				t.Errorf("%s is not a regular file", h.Name)
			case "/"+h.Name == caFile:
				checkRoots(t, content)
			case h.Name == p.name:
				text, err := io.ReadAll(content)
				if err != nil {
					t.Fatal(err)
				}
				checkStatic(t, text, machines[on.arch])
				if h.Mode&0o111 != 0o111 {
					t.Errorf("%s is not executable for everyone", h.Name)
				}
			default:
				t.Errorf("unexpected file %s", h.Name)
			}
		})
	})
}

func checkStatic(t *testing.T, text []byte, machine elf.Machine) {
	t.Helper()
	binary, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if binary.Machine != machine {
		t.Errorf("the binary is for %s", binary.Machine)
	}
	for _, part := range binary.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: it has %s", part.Type)
		}
	}
}

func checkRoots(t *testing.T, content io.Reader) {
	t.Helper()
	text, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names[root.Subject.CommonName] = root.IsCA
	}
	for _, name := range []string{"ISRG Root X1", "DigiCert Global Root G2", "GTS Root R1"} {
		if !names[name] {
			t.Errorf("%s is not among the %d certificate authorities", name, len(names))
		}
	}
	if len(names) < 100 {
		t.Errorf("there are %d certificate authorities", len(names))
	}
}

// sbomsOf returns the SBOMs of a layout by the digest of their image.
func sbomsOf(t *testing.T, p program) map[v1.Hash]*cdx.BOM {
	t.Helper()
	top, _ := layoutOf(t, p)
	all := map[v1.Hash]*cdx.BOM{}
	for _, entry := range entries(t, top) {
		if entry.MediaType != types.OCIManifestSchema1 {
			continue
		}
		if entry.ArtifactType != sbomType {
			t.Errorf("the artifact type of an SBOM is %s", entry.ArtifactType)
		}
		image, err := top.Image(entry.Digest)
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := image.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		layers, err := image.Layers()
		if err != nil || len(layers) != 1 {
			t.Fatalf("the SBOM is in %d layers: %v", len(layers), err)
		}
		content, err := layers[0].Compressed()
		if err != nil {
			t.Fatal(err)
		}
		bom := new(cdx.BOM)
		err = cdx.NewBOMDecoder(content, cdx.BOMFileFormatJSON).Decode(bom)
		if err := errors.Join(err, content.Close()); err != nil {
			t.Fatal(err)
		}
		all[manifest.Subject.Digest] = bom
	}
	return all
}

func TestImages_SBOMListsTheContent(t *testing.T) {
	needed := map[string]string{
		"openova-flow-server":           `^(/etc/ssl/certs/ca-certificates\.crt|pkg:golang/std@1\.\S+|pkg:npm/(clsx|esm-env|svelte)@[0-9.]+)$`,
		"openova-flow-server-jetstream": `^(/etc/ssl/certs/ca-certificates\.crt|pkg:golang/\S+@v?[0-9]\S+|pkg:npm/(clsx|esm-env|svelte)@[0-9.]+)$`,
		"openova-flow-adapter-flux":     `^(/etc/ssl/certs/ca-certificates\.crt|pkg:golang/\S+@v?[0-9]\S+)$`,
		"openova-flow-relay":            `^(/etc/ssl/certs/ca-certificates\.crt|pkg:golang/\S+@v?[0-9]\S+)$`,
		"openova-flow-proxy":            `^(/etc/ssl/certs/ca-certificates\.crt|pkg:golang/std@1\.\S+)$`,
	}
	has := map[string][]string{
		"openova-flow-server":           {"std", "svelte", caFile},
		"openova-flow-server-jetstream": {"std", "svelte", "github.com/nats-io/nats-server/v2", "github.com/openova-io/openova/products/openova-flow/server", caFile},
		"openova-flow-adapter-flux":     {"std", "k8s.io/client-go", "github.com/openova-io/openova/products/openova-flow/server", caFile},
		"openova-flow-proxy":            {"std", caFile},
		"openova-flow-relay":            {"std", "go.etcd.io/bbolt", "github.com/openova-io/openova/products/openova-flow/server", caFile},
	}
	eachImage(t, func(t *testing.T, p program, on platform, image v1.Image) {
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		bom := sbomsOf(t, p)[digest]
		if bom == nil {
			t.Fatal("no SBOM refers to the image")
		}
		if self := bom.Metadata.Component; self.Name != p.name || self.Version != testVersion {
			t.Errorf("the SBOM is about %s %s", self.Name, self.Version)
		}
		if property := (*bom.Metadata.Properties)[0]; property.Value != on.String() {
			t.Errorf("the SBOM is about %s", property.Value)
		}
		allowed := regexp.MustCompile(needed[p.name])
		var names []string
		for _, c := range *bom.Components {
			names = append(names, c.Name)
			if !allowed.MatchString(c.BOMRef) || c.Version == "" && c.Name != caFile {
				t.Errorf("the SBOM lists %s", c.BOMRef)
			}
		}
		for _, name := range has[p.name] {
			if !slices.Contains(names, name) {
				t.Errorf("the SBOM does not list %s", name)
			}
		}
	})
}

func TestImages_AreReproducible(t *testing.T) {
	s := state{root: "../..", version: testVersion, created: time.Unix(1700000000, 0).UTC()}
	p, on := programs[2], platform{"linux", "arm64"}
	var digests []v1.Hash
	for range 2 {
		image, sbom, err := makeImage(t.Context(), s, p, on)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range []v1.Image{image, sbom} {
			digest, err := one.Digest()
			if err != nil {
				t.Fatal(err)
			}
			digests = append(digests, digest)
		}
	}
	if digests[0] != digests[2] || digests[1] != digests[3] {
		t.Errorf("two builds differ: image and SBOM are %v and %v", digests[:2], digests[2:])
	}
}
