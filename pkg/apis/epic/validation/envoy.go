// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	maxReplicas = 100
	// maxResources is the maximum number of resources of one type in a template.
	maxResources = 64
	// maxResourceValue and maxTemplate bound a template, so an object with
	// one stays far from what etcd takes.
	maxResourceValue = 128 << 10
	maxTemplate      = 512 << 10
	// maxActions bounds the actions of one value, and with them how deep they can
	// be nested.
	maxActions = 2000
)

// templateFuncs has the names of the functions that Envoy templates may use.
// Templates are only parsed here; the controller, which runs them, brings the
// functions.
var templateFuncs = template.FuncMap{
	"DerefStr":           noFunc,
	"HTTPRoutes":         noFunc,
	"HeaderTypeExact":    noFunc,
	"HeaderTypeRegex":    noFunc,
	"HostnameOrDefault":  noFunc,
	"PathTypeExact":      noFunc,
	"PathTypePathPrefix": noFunc,
	"RefWeightsTotal":    noFunc,
	"RuleRedirect":       noFunc,
	"StatusToResponse":   noFunc,
	"StripTrailingSlash": noFunc,
	"TCPRoutes":          noFunc,
	"ToUpper":            noFunc,
}

func noFunc() string { return "" }

// replicas checks a number of Envoy pods. Where it is left out, the group's is
// taken.
func replicas(path *field.Path, n *int32) field.ErrorList {
	if n == nil {
		return nil
	}
	return between(path, *n, 1, maxReplicas)
}

// envoyTemplate checks the Envoy configuration of a proxy or a group.
func envoyTemplate(path *field.Path, t *epic.EnvoyConfigSpec) field.ErrorList {
	if t == nil {
		return nil
	}
	errs := word(path.Child("nodeID"), t.NodeID, maxName)
	errs = append(errs, oneOfOrNone(path.Child("serialization"), t.Serialization, epic.SerializationJSON, epic.SerializationB64JSON, epic.SerializationYAML)...)
	errs = append(errs, oneOfOrNone(path.Child("envoyAPI"), t.EnvoyAPI, epic.EnvoyAPIv3)...)

	path = path.Child("envoyResources")
	r := &t.EnvoyResources
	total := 0
	for _, l := range [][]epic.EnvoyResource{r.Clusters, r.Endpoints, r.Listeners, r.Routes, r.Runtimes} {
		for i := range l {
			total += len(l[i].Value)
		}
	}
	if total > maxTemplate {
		return append(errs, field.Invalid(path, total, fmt.Sprintf("its values have more than %d bytes in total: shorten them", maxTemplate)))
	}
	errs = append(errs, resources(path.Child("clusters"), r.Clusters, parses)...)
	errs = append(errs, resources(path.Child("endpoints"), r.Endpoints, parses)...)
	errs = append(errs, resources(path.Child("listeners"), r.Listeners, parses)...)
	verbatim := func(path *field.Path, value string) field.ErrorList { return decodes(path, value, t.Serialization) }
	errs = append(errs, resources(path.Child("routes"), r.Routes, verbatim)...)
	errs = append(errs, resources(path.Child("runtimes"), r.Runtimes, verbatim)...)
	return append(errs, secrets(path.Child("secrets"), r.Secrets)...)
}

func resources(path *field.Path, rs []epic.EnvoyResource, check func(*field.Path, string) field.ErrorList) field.ErrorList {
	errs := atMost(path, len(rs), maxResources)
	if len(errs) > 0 {
		return errs
	}
	seen := map[string]bool{}
	for i, r := range rs {
		if full(errs) {
			break
		}
		at := path.Index(i)
		errs = append(errs, resourceName(at.Child("name"), r.Name, seen)...)
		if len(r.Value) > maxResourceValue {
			errs = append(errs, field.Invalid(at.Child("value"), quoted(r.Value), fmt.Sprintf("is %d bytes long: shorten it to %d", len(r.Value), maxResourceValue)))
			continue
		}
		errs = append(errs, check(at.Child("value"), r.Value)...)
	}
	return errs
}

func resourceName(path *field.Path, name string, seen map[string]bool) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "a resource must have a name")}
	}
	errs := text(path, name, maxName)
	if seen[name] {
		errs = append(errs, field.Duplicate(path, quoted(name)))
	}
	seen[name] = true
	return errs
}

// parses checks a value that is a template.
func parses(path *field.Path, value string) field.ErrorList {
	if n := strings.Count(value, "{{") + strings.Count(value, "("); n > maxActions {
		return field.ErrorList{field.Invalid(path, quoted(value), fmt.Sprintf("has %d template actions and parentheses: shorten it to %d", n, maxActions))}
	}
	if _, err := template.New("value").Funcs(templateFuncs).Parse(value); err != nil {
		return field.ErrorList{field.Invalid(path, quoted(value), "does not parse as a Go template: "+quoted(err.Error())+": correct it")}
	}
	return nil
}

// decodes checks a value that is used as it is. Without a serialization it may
// be JSON or YAML, of which JSON is a part. The value is read and never built, because a few bytes
// of YAML can refer to many values.
func decodes(path *field.Path, value string, s epic.EnvoySerialization) field.ErrorList {
	var err error
	switch s {
	case epic.SerializationJSON:
		err = isJSON([]byte(value))
	case epic.SerializationB64JSON:
		var plain []byte
		if plain, err = base64.StdEncoding.DecodeString(value); err == nil {
			err = isJSON(plain)
		}
	case epic.SerializationYAML, "":
		err = isYAML([]byte(value))
	}
	if err != nil {
		return field.ErrorList{field.Invalid(path, quoted(value), fmt.Sprintf("is not valid %s, which serialization requires: %s", orYAML(s), quoted(err.Error())))}
	}
	return nil
}

func isJSON(text []byte) error {
	if json.Valid(text) {
		return nil
	}
	// The decoder describes what is wrong, and where.
	var ignored json.RawMessage
	return json.Unmarshal(text, &ignored)
}

func isYAML(text []byte) error {
	if json.Valid(text) {
		return nil
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return err
	}
	return withoutAliases(&document)
}

func withoutAliases(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		return textError("line " + strconv.Itoa(n.Line) + " refers to another part of the document (*" + quoted(n.Value) + "): write the part where it is meant")
	}
	for _, child := range n.Content {
		if err := withoutAliases(child); err != nil {
			return err
		}
	}
	return nil
}

func orYAML(s epic.EnvoySerialization) epic.EnvoySerialization {
	if s == "" {
		return epic.SerializationYAML
	}
	return s
}

func secrets(path *field.Path, ss []epic.EnvoySecretResource) field.ErrorList {
	errs := atMost(path, len(ss), maxResources)
	if len(errs) > 0 {
		return errs
	}
	seen := map[string]bool{}
	for i, s := range ss {
		if full(errs) {
			break
		}
		at := path.Index(i)
		errs = append(errs, resourceName(at.Child("name"), s.Name, seen)...)
		if s.Ref == nil {
			continue
		}
		if s.Ref.Name != "" {
			errs = append(errs, dnsName(at.Child("ref", "name"), s.Ref.Name)...)
		}
		if s.Ref.Namespace != "" {
			errs = append(errs, dnsLabel(at.Child("ref", "namespace"), s.Ref.Namespace)...)
		}
	}
	return errs
}
