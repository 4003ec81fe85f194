// SPDX-License-Identifier: Apache-2.0

package app

import (
	"testing"

	"github.com/acnodal/epic/pkg/cli/clitest"
)

func TestHelp(t *testing.T) {
	clitest.CheckHelp(t, newCommand())
}
