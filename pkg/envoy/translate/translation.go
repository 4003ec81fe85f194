// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/edge"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Numbers that IANA assigned to the transport protocols.
const (
	protocolTCP uint8 = 6
	protocolUDP uint8 = 17
)

// translation is the state while one proxy is translated.
type translation struct {
	resources resource.Set
	backends  map[string]Backend
	problems  problems
	// secrets holds the names of the secrets that are referenced.
	secrets map[string]bool
	// proxy is the object that is being translated.
	proxy resource.Source
	// account is the name of the proxy's account.
	account string
	limits  limits
	parts   clusterParts
	edge    edge.Settings
	// chains holds the certificates in secrets, by the name of the resource.
	chains map[string]certificateChain
	// bundles holds the authorities in Secrets, by the name of the Secret.
	bundles map[string]*bundle
	// now is the time at which validity is checked, unless it is zero, and until is the
	// end of the period for which the results hold.
	now, until time.Time
}

// newTranslation begins the translation of an object of a group, which may be nil, with
// its own edge settings, which may also be nil.
func newTranslation(kind string, object metav1.Object, group *epicv1.LBServiceGroup, own *epicv1.EdgeSpec) *translation {
	t := &translation{
		resources: resource.Set{},
		backends:  map[string]Backend{},
		secrets:   map[string]bool{},
		proxy:     SourceOf(kind, object),
		account:   accountOf(object),
		limits:    defaultLimits,
		chains:    map[string]certificateChain{},
		bundles:   map[string]*bundle{},
	}
	var refused []edge.Refusal
	t.edge, refused = edge.Of(group, own)
	for _, r := range refused {
		t.problems.add(t.proxy, "spec.edge."+r.Field, ReasonOverrideNotAllowed, "has no effect, because it %s", r.Message)
	}
	t.parts = partsOf(&t.limits, &t.edge)
	return t
}

// SourceOf returns a reference to an object.
func SourceOf(kind string, object metav1.Object) resource.Source {
	return resource.Source{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName(), UID: string(object.GetUID())}
}

// accountOf returns the name of an object's account.
func accountOf(object metav1.Object) string {
	if account := object.GetLabels()[epic.OwningAccountLabel]; account != "" {
		return account
	}
	if ns := object.GetNamespace(); len(ns) > len(epic.AccountNamespacePrefix) {
		return ns[len(epic.AccountNamespacePrefix):]
	}
	return object.GetNamespace()
}

// put adds a resource. It returns false if the message can't be encoded, which is
// reported on its first source.
func (t *translation) put(typ resource.Type, name string, message proto.Message, sources ...resource.Source) bool {
	r, err := resource.New(typ, name, message, sources...)
	if err == nil {
		err = t.resources.Add(r)
	}
	if err != nil {
		t.notEncodable(typ, name, err, sources)
		return false
	}
	return true
}

func (t *translation) notEncodable(typ resource.Type, name string, err error, sources []resource.Source) {
	object := t.proxy
	if len(sources) > 0 {
		object = sources[0]
	}
	t.problems.add(object, "", ReasonNotEncodable, "its %s %q can't be configured: %v: use plain text in all fields", typ, name, err)
}

func (t *translation) result() *Result {
	for k := range t.resources {
		if k.Type == resource.Secret && !t.secrets[k.Name] {
			delete(t.resources, k)
		}
	}
	r := &Result{Resources: t.resources, Problems: t.problems.sorted(), Until: t.until}
	for _, b := range t.backends {
		r.Backends = append(r.Backends, b)
	}
	slices.SortFunc(r.Backends, func(a, b Backend) int { return cmp.Compare(a.Name, b.Name) })
	return r
}

// pack wraps a message for fields of type Any. Text that can't be encoded results in an
// Any without a value; then put rejects the resource around it, because its own text has
// the same problem, or Envoy does.
func pack(message proto.Message) *anypb.Any {
	packed := &anypb.Any{}
	if err := anypb.MarshalFrom(packed, message, proto.MarshalOptions{Deterministic: true}); err != nil {
		return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(message.ProtoReflect().Descriptor().FullName())}
	}
	return packed
}
