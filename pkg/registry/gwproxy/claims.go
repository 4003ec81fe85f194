// SPDX-License-Identifier: Apache-2.0

package gwproxy

import "github.com/acnodal/epic/pkg/registry/proxy"

// Rules implements claims.Rules for gateway proxies, with the rules shared by all
// proxies.
type Rules struct{ proxy.Rules }
