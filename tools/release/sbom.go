package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

const sbomType = "application/vnd.cyclonedx+json"

// makeSBOM lists the content of an image: the modules recorded in the binary by Go, the standard library, the packages of its page, if any, and the
// certificate authorities.
func makeSBOM(s state, p program, on platform, binary string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read build info of %s for %s: %w", p.name, on, err)
	}
	components := []cdx.Component{
		library("golang", "std", strings.TrimPrefix(info.GoVersion, "go")),
		{Type: cdx.ComponentTypeData, BOMRef: caFile, Name: caFile, Description: "Mozilla's certificate authorities, from golang.org/x/crypto/x509roots/fallback", Version: rootsVersion()},
	}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		version := dep.Version
		path := dep.Path
		if strings.HasPrefix(path, ".") {
			// Modules of this repository have the version of the release.
			path, version = ownPath+strings.TrimPrefix(filepath.Join("products/openova-flow/adapter-flux", path), "/"), s.version
		}
		components = append(components, library("golang", path, version))
	}
	npm, err := npmPackages(s, p)
	if err != nil {
		return nil, err
	}
	components = append(components, npm...)
	slices.SortFunc(components, func(a, b cdx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })

	self := library("golang", info.Main.Path, s.version)
	self.Type = cdx.ComponentTypeApplication
	self.Name = p.name
	self.Description = p.description
	self.Licenses = &cdx.Licenses{{License: &cdx.License{ID: license}}}
	refs := make([]string, len(components))
	for i, c := range components {
		refs[i] = c.BOMRef
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp:  s.created.Format(time.RFC3339),
		Component:  &self,
		Properties: &[]cdx.Property{{Name: "platform", Value: on.String()}},
	}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: self.BOMRef, Dependencies: &refs}}
	var b bytes.Buffer
	err = cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return b.Bytes(), err
}

func library(ecosystem, name, version string) cdx.Component {
	purl := "pkg:" + ecosystem + "/" + name + "@" + version
	return cdx.Component{Type: cdx.ComponentTypeLibrary, BOMRef: purl, Name: name, Version: version, PackageURL: purl}
}

func rootsVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, dep := range info.Deps {
		if dep.Path == "golang.org/x/crypto/x509roots/fallback" {
			return dep.Version
		}
	}
	return ""
}

// npmPackages returns the packages of the program's page, with their versions from the lock file.
func npmPackages(s state, p program) ([]cdx.Component, error) {
	if len(p.npm) == 0 {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(s.root, "products/openova-flow/package-lock.json"))
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct {
			Version string `json:"version"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, fmt.Errorf("package-lock.json: %w", err)
	}
	var all []cdx.Component
	for _, name := range p.npm {
		version := lock.Packages["node_modules/"+name].Version
		if version == "" {
			return nil, fmt.Errorf("package-lock.json has no version of %s", name)
		}
		all = append(all, library("npm", name, version))
	}
	return all, nil
}
