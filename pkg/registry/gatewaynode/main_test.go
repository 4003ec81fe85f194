// SPDX-License-Identifier: Apache-2.0

package gatewaynode_test

import (
	"os"
	"testing"

	"github.com/acnodal/epic/pkg/registry/registrytest"
)

func TestMain(m *testing.M) { os.Exit(registrytest.Main(m)) }
