// SPDX-License-Identifier: Apache-2.0

package cost

import (
	"encoding/json"
	"fmt"
	"reflect"
	goruntime "runtime"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/scheme"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
)

// subject is one kind and its validators.
type subject struct {
	kind, namespace, name string
	typ                   reflect.Type
	validate              func(obj runtime.Object) field.ErrorList
}

func of[T any, V any, P interface {
	*T
	runtime.Object
}](kind, namespace, name string, create func(P) field.ErrorList, update, status func(obj, old P) field.ErrorList) subject {
	return subject{kind, namespace, name, reflect.TypeFor[V](), func(obj runtime.Object) field.ErrorList {
		o, ok := obj.(P)
		if !ok {
			// The fuzzer wrote another kind.
			return nil
		}
		errs := create(o)
		errs = append(errs, update(o, P(new(T)))...)
		return append(errs, status(o, P(new(T)))...)
	}}
}

var subjects = []subject{
	of[epic.EPIC, v1.EPIC]("EPIC", "epic", "epic", validation.ValidateEPIC, validation.ValidateEPICUpdate, validation.ValidateEPICStatusUpdate),
	of[epic.ServicePrefix, v1.ServicePrefix]("ServicePrefix", "epic", "a", validation.ValidateServicePrefix, validation.ValidateServicePrefixUpdate, validation.ValidateServicePrefixStatusUpdate),
	of[epic.Account, v1.Account]("Account", "epic-a", "a", validation.ValidateAccount, validation.ValidateAccountUpdate, validation.ValidateAccountStatusUpdate),
	of[epic.LBServiceGroup, v1.LBServiceGroup]("LBServiceGroup", "epic-a", "a", validation.ValidateLBServiceGroup, validation.ValidateLBServiceGroupUpdate, validation.ValidateLBServiceGroupStatusUpdate),
	of[epic.LoadBalancer, v1.LoadBalancer]("LoadBalancer", "epic-a", "a", validation.ValidateLoadBalancer, validation.ValidateLoadBalancerUpdate, validation.ValidateLoadBalancerStatusUpdate),
	of[epic.RemoteEndpoint, v1.RemoteEndpoint]("RemoteEndpoint", "epic-a", "a", validation.ValidateRemoteEndpoint, validation.ValidateRemoteEndpointUpdate, validation.ValidateRemoteEndpointStatusUpdate),
	of[epic.GWProxy, v1.GWProxy]("GWProxy", "epic-a", "a", validation.ValidateGWProxy, validation.ValidateGWProxyUpdate, validation.ValidateGWProxyStatusUpdate),
	of[epic.GWRoute, v1.GWRoute]("GWRoute", "epic-a", "a", validation.ValidateGWRoute, validation.ValidateGWRouteUpdate, validation.ValidateGWRouteStatusUpdate),
	of[epic.GWEndpointSlice, v1.GWEndpointSlice]("GWEndpointSlice", "epic-a", "a", validation.ValidateGWEndpointSlice, validation.ValidateGWEndpointSliceUpdate, validation.ValidateGWEndpointSliceStatusUpdate),
	of[epic.GatewayNode, v1.GatewayNode]("GatewayNode", "epic", "192.0.2.40", validation.ValidateGatewayNode, validation.ValidateGatewayNodeUpdate, validation.ValidateGatewayNodeStatusUpdate),
}

var decoder = scheme.Codecs.UniversalDecoder(epic.SchemeGroupVersion)

// cost returns the number of bytes that decoding, defaulting and validating a body, and
// the response to it, allocate. It also returns the size of the response.
func (s subject) cost(text []byte) (allocated, answer uint64) {
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	if obj, err := runtime.Decode(decoder, text); err == nil {
		if errs := s.validate(obj); len(errs) > 0 {
			answer = uint64(len(errs.ToAggregate().Error()))
		}
	}
	goruntime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, answer
}

const (
	// perByte is the maximum number of bytes allocated for one byte of a body. Most of
	// them are the structs that lists of empty objects are decoded into.
	perByte = 500
	// fixed is for what any request costs.
	fixed = 512 << 10
	// maxAnswer bounds the errors, whatever is wrong.
	maxAnswer = 256 << 10
)

// TestCost puts much into every field of every kind.
func TestCost(t *testing.T) {
	small, large := 4<<10, 32<<10
	for _, s := range subjects {
		t.Run(s.kind, func(t *testing.T) {
			all := targets(s.typ)
			if len(all) < 10 {
				t.Fatalf("found %d fields", len(all))
			}
			for _, target := range all {
				few, many := target.payloads(small), target.payloads(large)
				for name := range few {
					one, other := body(s.kind, s.namespace, s.name, target.path, few[name]), body(s.kind, s.namespace, s.name, target.path, many[name])
					if !json.Valid([]byte(other)) {
						t.Fatalf("%s of %s is not JSON: %.200s", name, target.path, other)
					}
					costOne, _ := s.cost([]byte(one))
					costOther, answer := s.cost([]byte(other))
					if most := uint64(fixed + perByte*len(other)); costOther > most {
						t.Errorf("%s in %s: a body of %d bytes costs %d, more than %d", name, target.path, len(other), costOther, most)
					}
					// Eight times the body may cost eight times the memory, and a list
					// that grows by doubling twice that.
					if most := 2*costOne*uint64(len(other))/uint64(len(one)) + fixed; costOther > most {
						t.Errorf("%s in %s: %d bytes cost %d and %d bytes cost %d, which grows faster than the body", name, target.path, len(one), costOne, len(other), costOther)
					}
					if answer > maxAnswer {
						t.Errorf("%s in %s: the answer to %d bytes has %d", name, target.path, len(other), answer)
					}
				}
			}
		})
	}
}

// FuzzCost holds the same for whatever the fuzzer makes of valid objects.
func FuzzCost(f *testing.F) {
	for i, s := range subjects {
		for j, target := range targets(s.typ) {
			for _, payload := range target.payloads(200 + j) {
				f.Add(uint8(i), []byte(body(s.kind, s.namespace, s.name, target.path, payload)))
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, text []byte) {
		s := subjects[int(kind)%len(subjects)]
		if len(text) > 64<<10 {
			return
		}
		allocated, answer := s.cost(text)
		most := uint64(fixed + perByte*len(text))
		for range 3 {
			// Other goroutines of the fuzzer allocate, too, but not every time.
			if allocated > most {
				allocated, answer = s.cost(text)
			}
		}
		if allocated > most {
			t.Errorf("a body of %d bytes costs %d, more than %d: %.600q", len(text), allocated, most, text)
		}
		if answer > maxAnswer {
			t.Errorf("the answer to %d bytes has %d", len(text), answer)
		}
	})
}

// TestCostOfExpressions puts the same text where it is a regular expression.
func TestCostOfExpressions(t *testing.T) {
	s := subjects[7]
	if s.kind != "GWRoute" {
		t.Fatal(s.kind)
	}
	text := target{kind: reflect.String}
	few, many := text.payloads(500), text.payloads(4000)
	for name, payload := range many {
		for where, form := range map[string]string{
			"headers":     `{"headers":[{"type":"RegularExpression","name":"h","value":%s}]}`,
			"queryParams": `{"queryParams":[{"type":"RegularExpression","name":"h","value":%s}]}`,
			"path":        `{"path":{"type":"RegularExpression","value":%s}}`,
		} {
			write := func(payload string, times int) []byte {
				matches := strings.TrimSuffix(strings.Repeat(fmt.Sprintf(form, payload)+",", times), ",")
				return []byte(body(s.kind, s.namespace, s.name, path{"spec", "http"}, `{"parentRefs":[{"name":"x"}],"rules":[{"matches":[`+matches+`]}]}`))
			}
			for _, request := range [][]byte{write(few[name], 1), write(payload, 1), write(few[name], 64), write(payload, 64)} {
				if got, _ := s.cost(request); got > uint64(fixed+perByte*len(request)) {
					t.Errorf("%s in %s: a body of %d bytes costs %d", name, where, len(request), got)
				}
			}
		}
	}
}
