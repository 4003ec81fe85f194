// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	// maxEnvoyListeners is more than the public ports that one object may have.
	maxEnvoyListeners = 1024
	// maxEnvoyMessage bounds Envoy's words, which may quote a tenant's text.
	maxEnvoyMessage = 4096
)

// envoyStatus checks what the operator reports of an object's Envoys.
func envoyStatus(path *field.Path, s *epic.EnvoyStatus) field.ErrorList {
	if s == nil {
		return nil
	}
	errs := notNegative(path.Child("observedGeneration"), s.ObservedGeneration)
	for name, n := range map[string]int32{"replicas": s.Replicas, "updatedReplicas": s.UpdatedReplicas, "readyReplicas": s.ReadyReplicas} {
		errs = append(errs, notNegative(path.Child(name), n)...)
	}
	errs = append(errs, text(path.Child("image"), s.Image, maxEnvoyMessage)...)
	listeners := path.Child("listeners")
	if more := atMost(listeners, len(s.Listeners), maxEnvoyListeners); len(more) > 0 {
		return append(errs, more...)
	}
	for i, l := range s.Listeners {
		if full(errs) {
			break
		}
		at := listeners.Index(i)
		errs = append(errs, text(at.Child("name"), l.Name, maxEnvoyMessage)...)
		_, more := addressOrNone(at.Child("address"), l.Address)
		errs = append(errs, more...)
		errs = append(errs, between(at.Child("port"), l.Port, 0, 65535)...)
		errs = append(errs, text(at.Child("protocol"), string(l.Protocol), 16)...)
		errs = append(errs, notNegative(at.Child("programmedReplicas"), l.ProgrammedReplicas)...)
	}
	return append(errs, envoyRejection(path.Child("lastRejection"), s.LastRejection)...)
}

func envoyRejection(path *field.Path, r *epic.EnvoyRejection) field.ErrorList {
	if r == nil {
		return nil
	}
	errs := text(path.Child("proxy"), r.Proxy, maxName)
	errs = append(errs, text(path.Child("type"), r.Type, maxName)...)
	errs = append(errs, text(path.Child("resource"), r.Resource, maxEnvoyMessage)...)
	return append(errs, text(path.Child("message"), r.Message, maxEnvoyMessage)...)
}
