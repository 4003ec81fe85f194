// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/fieldset"
	"github.com/acnodal/epic/pkg/registry/proxy"
)

// selectable lists the fields by which objects can be selected, in addition to their name
// and namespace. A list is served from the index of the first field in its selector, so
// the most selective fields come first.
var selectable = fieldset.Fields{
	fieldset.One("spec.public-address", func(obj *epic.LoadBalancer) string { return obj.Spec.PublicAddress }),
	fieldset.Many("status.tenant-node", func(obj *epic.LoadBalancer) []string { return proxy.ClientNodes(&obj.Status) }),
	fieldset.Many("status.epic-node", func(obj *epic.LoadBalancer) []string { return proxy.EPICNodes(&obj.Status) }),
	fieldset.One("spec.service-group", func(obj *epic.LoadBalancer) string { return obj.Spec.ServiceGroup }),
}
