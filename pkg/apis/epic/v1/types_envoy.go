// SPDX-License-Identifier: Apache-2.0

package v1

// EnvoySerialization is a way to write Envoy configuration down.
// +enum
type EnvoySerialization string

const (
	// SerializationJSON is JSON text.
	SerializationJSON EnvoySerialization = "json"
	// SerializationB64JSON is JSON text in base64.
	SerializationB64JSON EnvoySerialization = "b64json"
	// SerializationYAML is YAML text.
	SerializationYAML EnvoySerialization = "yaml"
)

// EnvoyAPIVersion is a version of Envoy's own API.
// +enum
type EnvoyAPIVersion string

// EnvoyAPIv3 is version 3, the only one.
const EnvoyAPIv3 EnvoyAPIVersion = "v3"

// EnvoyConfigSpec is the Envoy configuration of a proxy, in templates.
type EnvoyConfigSpec struct {
	// Name under which Envoy requests its configuration. The operator sets the name that it
	// serves, so a value given here is stored but not used.
	NodeID string `json:"nodeID" protobuf:"bytes,1,opt,name=nodeID"`

	// Encoding of the resource values: json, b64json or yaml. Default: json.
	// +optional
	Serialization EnvoySerialization `json:"serialization,omitempty" protobuf:"bytes,2,opt,name=serialization,casttype=EnvoySerialization"`

	// Version of the Envoy API that the resources use: v3. Default: v3.
	// +optional
	EnvoyAPI EnvoyAPIVersion `json:"envoyAPI,omitempty" protobuf:"bytes,3,opt,name=envoyAPI,casttype=EnvoyAPIVersion"`

	// The resources that make up the configuration.
	EnvoyResources EnvoyResources `json:"envoyResources" protobuf:"bytes,4,opt,name=envoyResources"`
}

// EnvoyResources is the resources of an Envoy configuration. Each value is a Go template
// that renders one resource.
type EnvoyResources struct {
	// Templates of clusters, each rendered once per backend.
	// +optional
	// +listType=atomic
	Clusters []EnvoyResource `json:"clusters,omitempty" protobuf:"bytes,1,rep,name=clusters"`

	// Templates of cluster load assignments, each rendered once per backend.
	// +optional
	// +listType=atomic
	Endpoints []EnvoyResource `json:"endpoints,omitempty" protobuf:"bytes,2,rep,name=endpoints"`

	// Route configurations, used as they are.
	// +optional
	// +listType=atomic
	Routes []EnvoyResource `json:"routes,omitempty" protobuf:"bytes,3,rep,name=routes"`

	// Templates of listeners, each rendered once per published port.
	// +optional
	// +listType=atomic
	Listeners []EnvoyResource `json:"listeners,omitempty" protobuf:"bytes,4,rep,name=listeners"`

	// Runtime layers, used as they are.
	// +optional
	// +listType=atomic
	Runtimes []EnvoyResource `json:"runtimes,omitempty" protobuf:"bytes,5,rep,name=runtimes"`

	// Secrets that Envoy may use, such as certificates.
	// +optional
	// +listType=atomic
	Secrets []EnvoySecretResource `json:"secrets,omitempty" protobuf:"bytes,6,rep,name=secrets"`
}

// EnvoyResource is one named resource of an Envoy configuration.
type EnvoyResource struct {
	// Name of the resource.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// The resource, encoded as serialization specifies.
	Value string `json:"value" protobuf:"bytes,2,opt,name=value"`
}

// EnvoySecretResource is one secret that Envoy may use.
type EnvoySecretResource struct {
	// Name by which the Envoy configuration refers to the secret.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// The Secret of the gateway cluster that holds it.
	// +optional
	Ref *SecretReference `json:"ref,omitempty" protobuf:"bytes,2,opt,name=ref"`
}

// SecretReference names a Secret of the gateway cluster. Setting any part of it replaces
// the whole.
// +structType=atomic
type SecretReference struct {
	// Name of the Secret.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,1,opt,name=name"`

	// Namespace of the Secret. Default: the proxy's namespace.
	// +optional
	Namespace string `json:"namespace,omitempty" protobuf:"bytes,2,opt,name=namespace"`
}
