// SPDX-License-Identifier: Apache-2.0

package connector

import "k8s.io/apimachinery/pkg/runtime"

type applied = runtime.ApplyConfiguration
