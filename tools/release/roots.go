package main

import (
	"bytes"
	"encoding/pem"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// rootsPEM returns Mozilla's certificate authorities, pinned by go.sum instead of taken from the build machine. Roots that Mozilla trusts only for certificates
// issued before a date are included without that bound, which PEM cannot express; distributions do the same.
func rootsPEM() ([]byte, error) {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
