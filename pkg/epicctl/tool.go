// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"errors"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

const (
	// fieldManager is the name under which the API records what this program
	// wrote.
	fieldManager = program
	// requestTimeout bounds each request unless a flag says otherwise. Without
	// one, a server that swallows packets would hold the command forever.
	requestTimeout = "1m"
	// Commands that read much should not wait for themselves.
	clientQPS   = 100
	clientBurst = 200
	// pageSize is how many objects one request lists.
	pageSize = 500
)

// tool is what all commands work with.
type tool struct {
	genericclioptions.IOStreams

	flags *genericclioptions.ConfigFlags
	// What a command asks for. A test may set its own.
	kube func() (kubernetes.Interface, error)
	epic func() (versioned.Interface, error)
	// raw gets a path of the server, and returns what came even with an error.
	raw              func(ctx context.Context, path string, params map[string]string) ([]byte, error)
	quotaPatience    quotaPatience
	takeoverPatience takeoverPatience
}

func newTool(streams genericclioptions.IOStreams) *tool {
	t := &tool{IOStreams: streams, flags: genericclioptions.NewConfigFlags(true), quotaPatience: defaultQuotaPatience, takeoverPatience: defaultTakeoverPatience}
	t.flags.Timeout = ptr.To(requestTimeout)
	// Nothing is cached on disk, so the flag would promise what nobody keeps.
	t.flags.CacheDir = nil
	t.flags.WrapConfigFn = func(c *rest.Config) *rest.Config {
		c.QPS, c.Burst = clientQPS, clientBurst
		c.UserAgent = program + "/" + buildinfo.Release()
		c.WarningHandler = rest.NewWarningWriter(streams.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
		return c
	}
	t.kube = func() (kubernetes.Interface, error) {
		config, err := t.config()
		if err != nil {
			return nil, err
		}
		return kubernetes.NewForConfig(config)
	}
	t.epic = func() (versioned.Interface, error) {
		config, err := t.config()
		if err != nil {
			return nil, err
		}
		return versioned.NewForConfig(config)
	}
	t.raw = func(ctx context.Context, path string, params map[string]string) ([]byte, error) {
		client, err := t.epic()
		if err != nil {
			return nil, err
		}
		request := client.Discovery().RESTClient().Get().AbsPath(path)
		for key, value := range params {
			request.Param(key, value)
		}
		// Error knows the reasons that a Status in the body gives.
		result := request.Do(ctx)
		body, _ := result.Raw()
		return body, result.Error()
	}
	return t
}

// config is the client configuration of the flags and the kubeconfig.
func (t *tool) config() (*rest.Config, error) {
	config, err := t.flags.ToRESTConfig()
	if clientcmd.IsEmptyConfig(err) || err == nil && t.isGuess(config) {
		return nil, errors.New("no cluster is configured: set a kubeconfig with --kubeconfig or the environment variable KUBECONFIG")
	}
	return config, err
}

// isGuess indicates that nothing was configured, and the client took an address that
// once was usual.
func (t *tool) isGuess(config *rest.Config) bool {
	raw, err := t.flags.ToRawKubeConfigLoader().RawConfig()
	return err == nil && clientcmdapi.IsConfigEmpty(&raw) && ptr.Deref(t.flags.APIServer, "") == "" && strings.HasSuffix(config.Host, "localhost:8080")
}

// namespace is the one that -n names, or none.
func (t *tool) namespace() string { return ptr.Deref(t.flags.Namespace, "") }

// clients returns both clients.
func (t *tool) clients() (kubernetes.Interface, versioned.Interface, error) {
	kube, err := t.kube()
	if err != nil {
		return nil, nil, err
	}
	epic, err := t.epic()
	return kube, epic, err
}

// surroundings is what a server has next to EPIC's own API. One that runs alone
// has nothing.
type surroundings struct {
	namespaces, rbac bool
}

// standalone indicates that there is no Kubernetes around the API.
func (s surroundings) standalone() bool { return !s.namespaces && !s.rbac }

// look asks the server what it serves.
func look(kube kubernetes.Interface) (s surroundings, err error) {
	if s.namespaces, err = serves(kube, "v1", "namespaces"); err != nil {
		return s, err
	}
	s.rbac, err = serves(kube, "rbac.authorization.k8s.io/v1", "rolebindings")
	return s, err
}

// lookInCluster is look for commands that need service accounts. For a server that runs
// alone it returns an error that ends with what to do instead.
func lookInCluster(kube kubernetes.Interface, instead string) (surroundings, error) {
	s, err := look(kube)
	if err == nil && !s.namespaces {
		err = errors.New("this standalone server has no service accounts: " + instead)
	}
	return s, err
}

func serves(kube kubernetes.Interface, groupVersion, resource string) (bool, error) {
	list, err := kube.Discovery().ServerResourcesForGroupVersion(groupVersion)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		path := "/apis/" + groupVersion
		if groupVersion == "v1" {
			path = "/api/v1"
		}
		return false, right{verb: "get", resource: path}.explain(err)
	}
	for _, r := range list.APIResources {
		if r.Name == resource {
			return true, nil
		}
	}
	return false, nil
}

// isStatus reports whether an answer had that HTTP status.
func isStatus(err error, code int32) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == code
}

// notServed indicates that the path itself is unknown, rather than the object.
func notServed(err error) bool {
	var status apierrors.APIStatus
	if !isStatus(err, http.StatusNotFound) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Name == "" || apierrors.HasStatusCause(err, "UnexpectedServerResponse")
}
