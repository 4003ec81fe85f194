// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"strings"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/dataplane"
)

// probe describes what this machine lacks, in words that name it, before the kernel
// refuses something with less. A feature that only makes it faster is logged if it is missing. An
// interface that is missing may still come.
func probe(ctx context.Context, options dataplane.Options) error {
	var fatal []string
	for _, p := range dataplane.Probe(options) {
		if p.Fatal {
			fatal = append(fatal, p.String())
			continue
		}
		klog.FromContext(ctx).Info("This machine does not meet a requirement", "what", p.What, "remedy", p.Remedy)
	}
	if len(fatal) > 0 {
		return errors.New(strings.Join(fatal, "; "))
	}
	return nil
}
