// SPDX-License-Identifier: Apache-2.0

// Package certmanager names the release of cert-manager for which
// artifacts/install/overlays/cert-manager is written: the tests take the
// definitions of its kinds from the module. It runs nothing.
package certmanager

import (
	// The smallest package of the module.
	_ "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
)
