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
	// Name under which Envoy requests its configuration. The operator sets the name that it
	// serves, so a value given here is stored but not used.
	NodeID string

	// Encoding of the resource values: json, b64json or yaml. Default: json.
	Serialization EnvoySerialization

	// Version of the Envoy API that the resources use: v3. Default: v3.
	EnvoyAPI EnvoyAPIVersion

	// The resources that make up the configuration.
	EnvoyResources EnvoyResources
}

// EnvoyResources is the resources of an Envoy configuration. Each value is a Go template
// that renders one resource.
type EnvoyResources struct {
	// Templates of clusters, each rendered once per backend.
	Clusters []EnvoyResource

	// Templates of cluster load assignments, each rendered once per backend.
	Endpoints []EnvoyResource

	// Route configurations, used as they are.
	Routes []EnvoyResource

	// Templates of listeners, each rendered once per published port.
	Listeners []EnvoyResource

	// Runtime layers, used as they are.
	Runtimes []EnvoyResource

	// Secrets that Envoy may use, such as certificates.
	Secrets []EnvoySecretResource
}

// EnvoyResource is one named resource of an Envoy configuration.
type EnvoyResource struct {
	// Name of the resource.
	Name string

	// The resource, encoded as serialization specifies.
	Value string
}

// EnvoySecretResource is one secret that Envoy may use.
type EnvoySecretResource struct {
	// Name by which the Envoy configuration refers to the secret.
	Name string

	// The Secret of the gateway cluster that holds it.
	Ref *SecretReference
}

// SecretReference names a Secret of the gateway cluster. Setting any part of it replaces
// the whole.
type SecretReference struct {
	// Name of the Secret.
	Name string

	// Namespace of the Secret. Default: the proxy's namespace.
	Namespace string
}
