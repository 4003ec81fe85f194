// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"fmt"
	"os"
	"time"

	"k8s.io/client-go/util/cert"
)

// CheckFile returns an error if the first certificate of a PEM file can't be used now: it
// is missing, is not a certificate, has expired or is not valid yet. flag names the
// option that specified the file.
//
// The TLS libraries load an expired certificate without an error, and the resulting error
// of the peer does not name the file.
func CheckFile(flag, file string, now time.Time) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("--%s: can't read the certificate: %w", flag, err)
	}
	certs, err := cert.ParseCertsPEM(content)
	if err != nil {
		return fmt.Errorf("--%s: %s contains no certificate in PEM format: %w", flag, file, err)
	}
	leaf := certs[0]
	if now.After(leaf.NotAfter) {
		return fmt.Errorf("--%s: the certificate in %s (%s) expired on %s; renew it and start again", flag, file, leaf.Subject, leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if now.Before(leaf.NotBefore) {
		return fmt.Errorf("--%s: the certificate in %s (%s) is not valid before %s; check the clock of this machine, or use another certificate", flag, file, leaf.Subject, leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}
