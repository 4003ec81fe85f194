// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/privatefile"
)

// DescriptionFile is the name of the file for the node program's --proxies-file.
const DescriptionFile = "proxies.yaml"

// describe writes the description of the proxies that have their own interface. The
// caller holds the lock, or is the only user.
func (r *Runner) describe() error {
	d := proxies.Description{Proxies: []proxies.DescribedProxy{}}
	for _, p := range r.proxies {
		if p.Link.Interface == "" {
			continue
		}
		one := proxies.DescribedProxy{
			Kind: proxies.Kind(p.Kind), Namespace: p.Namespace, Owner: p.Name, Pod: p.Pod, Interface: p.Link.Interface, MAC: p.Link.MAC,
		}
		for _, a := range p.Link.Addresses {
			one.Addresses = append(one.Addresses, a.String())
		}
		d.Proxies = append(d.Proxies, one)
	}
	slices.SortFunc(d.Proxies, func(a, b proxies.DescribedProxy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod))
	})
	data, err := yaml.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode the description of proxies: %w", err)
	}
	path := filepath.Join(r.o.Dir, DescriptionFile)
	if has, err := os.ReadFile(path); err == nil && bytes.Equal(has, data) {
		return nil
	}
	return privatefile.Write(path, data)
}
