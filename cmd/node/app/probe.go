// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"strings"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/dataplane"
)

// probe returns an error that names what this machine lacks, before the kernel returns a
// less specific one. A missing feature that only affects performance is logged. A missing
// interface may be added later.
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
