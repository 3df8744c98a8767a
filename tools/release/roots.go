package main

import (
	"bytes"
	"encoding/pem"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// rootsPEM is Mozilla's list of certificate authorities, pinned by go.sum instead of taken from whatever machine builds the image. Roots that
// Mozilla trusts only for certificates issued before some date are in it without that bound, which a PEM file can't express; the bundles of
// distributions are the same.
func rootsPEM() ([]byte, error) {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
