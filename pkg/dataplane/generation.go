// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// generation is how often the maps have been changed. Programs do not use what they
// remember from another generation, so a change holds for all packets that come after the
// call that made it has returned.
type generation struct {
	variable *ebpf.Variable
	now      uint32
}

// next tells the programs that a map was changed.
func (g *generation) next() error {
	g.now++
	if err := g.variable.Set(g.now); err != nil {
		return fmt.Errorf("increment the generation: %w", err)
	}
	return nil
}
