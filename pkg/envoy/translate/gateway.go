// SPDX-License-Identifier: Apache-2.0

package translate

// Gateway translates a gateway proxy with its routes.
func Gateway(in GatewayInput) *Result {
	t := newTranslation("GWProxy", in.Proxy)
	return t.result()
}
