// SPDX-License-Identifier: Apache-2.0

package gwproxy

import "github.com/acnodal/epic/pkg/registry/proxy"

// Rules are those of gateway proxies, which are what all proxies have.
type Rules struct{ proxy.Rules }
