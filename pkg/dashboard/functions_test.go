// SPDX-License-Identifier: Apache-2.0

package dashboard

import "testing"

func TestTitle(t *testing.T) {
	const uid = "19e6d68f-bd4c-4870-8348-72039a259a6c"
	for what, test := range map[string]struct{ name, displayName, title, subtitle string }{
		"a name only":                 {"shop", "", "shop", ""},
		"the same twice":              {"shop", "shop", "shop", ""},
		"a name and a display name":   {"shop", "Acme's shop", "shop", "Acme's shop"},
		"a UID and a display name":    {uid, "shop", "shop", uid},
		"a UID only":                  {uid, "", uid, ""},
		"a name that begins as a UID": {uid + "-1", "shop", uid + "-1", "shop"},
	} {
		if got, sub := title(test.name, test.displayName), subtitle(test.name, test.displayName); got != test.title || sub != test.subtitle {
			t.Errorf("%s: the title is %q and the subtitle %q", what, got, sub)
		}
	}
}
