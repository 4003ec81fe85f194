// SPDX-License-Identifier: Apache-2.0

package epic

// EnvoySerialization is a way to write Envoy configuration down.
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
type EnvoyAPIVersion string

// EnvoyAPIv3 is version 3, the only one.
const EnvoyAPIv3 EnvoyAPIVersion = "v3"

// EnvoyConfigSpec is the Envoy configuration of a proxy, in templates.
type EnvoyConfigSpec struct {
	// The name by which Envoy asks for its configuration.
	NodeID string

	// How the values of the resources are written: json, b64json or yaml.
	Serialization EnvoySerialization

	// The version of Envoy's API for which the resources are written: v3.
	EnvoyAPI EnvoyAPIVersion

	// The resources that make up the configuration.
	EnvoyResources EnvoyResources
}

// EnvoyResources is the resources that make up an Envoy configuration. Each
// value is a Go template that yields one resource.
type EnvoyResources struct {
	// Templates of clusters, each rendered once for every backend.
	Clusters []EnvoyResource

	// Templates of cluster load assignments, each rendered once for every
	// backend.
	Endpoints []EnvoyResource

	// Route configurations, which are used as they are.
	Routes []EnvoyResource

	// Templates of listeners, each rendered once for every published port.
	Listeners []EnvoyResource

	// Runtime layers, which are used as they are.
	Runtimes []EnvoyResource

	// Secrets that Envoy may use, such as certificates.
	Secrets []EnvoySecretResource
}

// EnvoyResource is one named resource of an Envoy configuration.
type EnvoyResource struct {
	// The name of the resource.
	Name string

	// The resource, written as serialization says.
	Value string
}

// EnvoySecretResource is one secret that Envoy may use.
type EnvoySecretResource struct {
	// The name by which the Envoy configuration refers to the secret.
	Name string

	// The Secret of the gateway cluster that holds it.
	Ref *SecretReference
}

// SecretReference names a Secret of the gateway cluster. Setting any part of it
// sets the whole.
type SecretReference struct {
	// The name of the Secret.
	Name string

	// The namespace of the Secret.
	Namespace string
}
