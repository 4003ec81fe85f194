// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// generation counts changes of the maps. Programs do not use cached results of another
// generation, so a change applies to all packets that arrive after the call that made it
// has returned.
type generation struct {
	variable *ebpf.Variable
	now      uint32
}

// next informs the programs that a map was changed.
func (g *generation) next() error {
	g.now++
	if err := g.variable.Set(g.now); err != nil {
		return fmt.Errorf("increment the generation: %w", err)
	}
	return nil
}
