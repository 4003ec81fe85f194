// SPDX-License-Identifier: Apache-2.0

package options

import (
	"slices"

	"github.com/spf13/pflag"
)

// addFlagsWithout adds the flags that add defines, except those named.
func addFlagsWithout(fs *pflag.FlagSet, add func(*pflag.FlagSet), except ...string) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	add(all)
	all.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(except, f.Name) {
			fs.AddFlag(f)
		}
	})
}
