// SPDX-License-Identifier: Apache-2.0

//go:build linux

package docs

import (
	"strings"
	"testing"

	"github.com/acnodal/epic/pkg/node/proxies"
)

// The example of --proxies-file is one that the node program reads, and shows all
// fields.
func TestProxiesFileIsDocumented(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.page != reference || b.info != manifests {
				continue
			}
			list, err := proxies.ParseDescription([]byte(b.text))
			if err != nil || len(list) != 1 || list[0].Kind != proxies.LoadBalancer || list[0].Pod != "shop-1" || len(list[0].Addresses) != 1 {
				t.Errorf("%s:%d: %+v, %v", b.page, b.line, list, err)
			}
			for _, field := range []string{"kind", "namespace", "owner", "pod", "interface", "mac", "addresses"} {
				if !strings.Contains(b.text, " "+field+": ") {
					t.Errorf("%s:%d: the field %s is missing", b.page, b.line, field)
				}
			}
			return
		}
	}
	t.Errorf("%s has no example", reference)
}
