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
	// fieldManager is the field manager of this program's writes.
	fieldManager = program
	// requestTimeout is the default limit for each request. Without one, a server that
	// drops packets would block the command forever.
	requestTimeout = "1m"
	// Commands that read much should not be limited by the client.
	clientQPS   = 100
	clientBurst = 200
	// pageSize is the number of objects per list request.
	pageSize = 500
)

// tool holds what all commands share.
type tool struct {
	genericclioptions.IOStreams

	flags *genericclioptions.ConfigFlags
	// Clients of a command. Tests replace them.
	kube func() (kubernetes.Interface, error)
	epic func() (versioned.Interface, error)
	// raw gets a path of the server, and returns the body even with an error.
	raw              func(ctx context.Context, path string, params map[string]string) ([]byte, error)
	quotaPatience    quotaPatience
	takeoverPatience takeoverPatience
}

func newTool(streams genericclioptions.IOStreams) *tool {
	t := &tool{IOStreams: streams, flags: genericclioptions.NewConfigFlags(true), quotaPatience: defaultQuotaPatience, takeoverPatience: defaultTakeoverPatience}
	t.flags.Timeout = ptr.To(requestTimeout)
	// Nothing is cached on disk, so the flag would have no effect.
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
		// Error evaluates the reason in a Status in the body.
		result := request.Do(ctx)
		body, _ := result.Raw()
		return body, result.Error()
	}
	return t
}

// config returns the client configuration of the flags and the kubeconfig.
func (t *tool) config() (*rest.Config, error) {
	config, err := t.flags.ToRESTConfig()
	if clientcmd.IsEmptyConfig(err) || err == nil && t.isGuess(config) {
		return nil, errors.New("no cluster is configured: set a kubeconfig with --kubeconfig or the environment variable KUBECONFIG")
	}
	return config, err
}

// isGuess reports whether nothing was configured, and the client uses a legacy default
// address.
func (t *tool) isGuess(config *rest.Config) bool {
	raw, err := t.flags.ToRawKubeConfigLoader().RawConfig()
	return err == nil && clientcmdapi.IsConfigEmpty(&raw) && ptr.Deref(t.flags.APIServer, "") == "" && strings.HasSuffix(config.Host, "localhost:8080")
}

// namespace returns the namespace set by -n, or "".
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

// surroundings describes which APIs a server has in addition to EPIC's own. A standalone
// server has none.
type surroundings struct {
	namespaces, rbac bool
}

// standalone reports whether the API is not part of a Kubernetes cluster.
func (s surroundings) standalone() bool { return !s.namespaces && !s.rbac }

// look queries which APIs the server serves.
func look(kube kubernetes.Interface) (s surroundings, err error) {
	if s.namespaces, err = serves(kube, "v1", "namespaces"); err != nil {
		return s, err
	}
	s.rbac, err = serves(kube, "rbac.authorization.k8s.io/v1", "rolebindings")
	return s, err
}

// lookInCluster is look for commands that need service accounts. For a standalone server,
// it returns an error that ends with what to do instead.
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

// isStatus reports whether a response had the HTTP status.
func isStatus(err error, code int32) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == code
}

// notServed reports whether the path itself is unknown, rather than the object.
func notServed(err error) bool {
	var status apierrors.APIStatus
	if !isStatus(err, http.StatusNotFound) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Name == "" || apierrors.HasStatusCause(err, "UnexpectedServerResponse")
}
