package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// artifact is an OCI manifest with one file as its layer and an image as its subject. Registries list it among the image's referrers.
type artifact struct {
	layer    v1.Layer
	manifest []byte
}

const emptyType types.MediaType = "application/vnd.oci.empty.v1+json"

var emptyConfig = []byte("{}")

func newArtifact(content []byte, mediaType string, subject v1.Descriptor, annotations map[string]string) (v1.Image, error) {
	layer := static.NewLayer(content, types.MediaType(mediaType))
	described, err := partial.Descriptor(layer)
	if err != nil {
		return nil, err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(emptyConfig))
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  mediaType,
		Config:        v1.Descriptor{MediaType: emptyType, Digest: digest, Size: size, Data: emptyConfig},
		Layers:        []v1.Descriptor{*described},
		Subject:       &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations:   annotations,
	})
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(artifact{layer, manifest})
}

func (a artifact) RawConfigFile() ([]byte, error)      { return emptyConfig, nil }
func (a artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (a artifact) RawManifest() ([]byte, error)        { return a.manifest, nil }
func (a artifact) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	own, err := a.layer.Digest()
	if err == nil && own != digest {
		err = fmt.Errorf("artifact: no layer %s, only %s", digest, own)
	}
	return a.layer, err
}
