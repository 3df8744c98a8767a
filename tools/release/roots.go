package main

import (
	"bytes"
	"encoding/pem"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// rootsPEM returns Mozilla's certificate authorities from a module pinned by go.sum, not from the build machine. Mozilla trusts some roots only for certificates
// issued before a date. PEM cannot express such dates, so these roots are included without them, as in distributions.
func rootsPEM() ([]byte, error) {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
