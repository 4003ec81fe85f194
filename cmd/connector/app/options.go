// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/cli"
	"github.com/acnodal/epic/pkg/cli/kube"
	"github.com/acnodal/epic/pkg/cli/observe"
	"github.com/acnodal/epic/pkg/credential"
)

// leaseName is the name of the replicas' Lease.
const leaseName = "epic-connector"

// credentialKey is the key in the Secret with the renewed credential.
const credentialKey = "kubeconfig"

// options holds the values of the flags.
type options struct {
	client kube.Client

	epicKubeconfigs  []string
	epicNamespace    string
	credentialSecret string
	cluster, group   string
	formerClusters   []string
	secretsDir       string

	nodes nodeOptions

	workers                      int
	retryRefused, rewriteSecrets time.Duration

	observe  observe.Options
	election kube.Election
	logs     *cli.Logs
}

func newOptions() *options {
	return &options{
		client: kube.Client{QPS: 200, Burst: 400}, workers: 16, retryRefused: time.Minute, rewriteSecrets: 10 * time.Minute, observe: observe.Options{Address: "127.0.0.1:7449"},
		nodes:    nodeOptions{namespace: "epic-client", account: "epic-node-client", service: "epic-connector"},
		election: kube.NewElection(), logs: cli.NewLogs(),
	}
}

// flags returns the flags by groups.
func (o *options) flags() cliflag.NamedFlagSets {
	var groups cliflag.NamedFlagSets
	remote := groups.FlagSet("EPIC")
	remote.StringSliceVar(&o.epicKubeconfigs, "epic-kubeconfig", o.epicKubeconfigs, "The account's kubeconfig for EPIC, from \"epicctl connect\" or \"epicctl create kubeconfig\". May be given several times: of the existing files, the one with the newest token is used. The files are read again while the program runs.")
	remote.StringVar(&o.credentialSecret, "epic-credential-secret", o.credentialSecret, "The Secret, in the namespace of the lease, in which to store a credential for EPIC that the connector renews, as "+credentialKey+". If empty, the credential is not renewed.")
	remote.StringVar(&o.epicNamespace, "epic-namespace", o.epicNamespace, "The account's namespace in EPIC. Default: the namespace in that kubeconfig.")
	remote.StringVar(&o.cluster, "cluster", o.cluster, "The ID of this cluster in EPIC, unique in the account. It must not change.")
	remote.StringSliceVar(&o.formerClusters, "former-clusters", o.formerClusters, "Previous IDs of this cluster, or IDs of clusters that it replaces. The connector takes over the objects that they published, and deletes those without a local object.")
	remote.StringVar(&o.group, "service-group", o.group, "The service group of Gateways and Services that do not set one. Default: the only one that the account may use.")
	remote.StringVar(&o.secretsDir, "secrets-dir", o.secretsDir, "The directory in which to write certificates, for an EPIC without Kubernetes: the operator's secrets/ directory.")

	o.nodes.addFlags(groups.FlagSet("client nodes"))

	o.client.AddFlags(groups.FlagSet("API server"), "this cluster", " to either cluster")

	work := groups.FlagSet("work")
	work.IntVar(&o.workers, "workers", o.workers, "Number of objects of each kind that are reconciled concurrently.")
	work.DurationVar(&o.rewriteSecrets, "rewrite-secrets", o.rewriteSecrets, "How often certificates are rewritten, because this program may not read them in EPIC.")
	work.DurationVar(&o.retryRefused, "retry-refused", o.retryRefused, "How long to wait before an object that EPIC refused is sent again.")

	o.election.AddFlags(groups.FlagSet("leader election"), "Work only while leading, by the lease "+leaseName+".",
		"the lease")

	o.observe.AddFlags(groups.FlagSet("observation"))
	o.logs.AddFlags(groups.FlagSet("logs"))
	return groups
}

// validate checks flags that depend on each other.
func (o *options) validate() error {
	switch {
	case len(o.epicKubeconfigs) == 0:
		return fmt.Errorf("--epic-kubeconfig is not set: set it to the file that \"epicctl create kubeconfig\" created for the account")
	case o.cluster == "":
		return fmt.Errorf("--cluster is not set: set a name for this cluster that is unique in the account")
	case len(validation.IsDNS1123Label(o.cluster)) > 0:
		return fmt.Errorf("--cluster is %q: set a name of at most %d lowercase letters, digits and dashes", o.cluster, validation.DNS1123LabelMaxLength)
	case slices.ContainsFunc(o.formerClusters, func(c string) bool { return strings.TrimSpace(c) == "" }):
		return fmt.Errorf("--former-clusters is %q: set names separated by commas, none of them empty", strings.Join(o.formerClusters, ","))
	case o.rewriteSecrets <= 0:
		return fmt.Errorf("--rewrite-secrets is %s: set a positive duration", o.rewriteSecrets)
	case o.workers < 1:
		return fmt.Errorf("--workers is %d: set at least 1", o.workers)
	case o.retryRefused <= 0:
		return fmt.Errorf("--retry-refused is %s: set a positive duration", o.retryRefused)
	}
	if err := o.nodes.validate(); err != nil {
		return err
	}
	if err := o.client.Validate(); err != nil {
		return err
	}
	if err := o.observe.Validate(); err != nil {
		return err
	}
	return o.election.Validate()
}

// local returns the client configuration of the client cluster, and the namespace of the
// lease.
func (o *options) local() (*rest.Config, string, error) {
	config, namespace, err := o.client.Load(program)
	if err != nil {
		return nil, "", fmt.Errorf("configure access to this cluster: %w: set --kubeconfig", err)
	}
	return config, o.election.In(namespace), nil
}

// remote returns the client configuration of EPIC, whose credential may change while the
// program runs, and the account's namespace there.
func (o *options) remote() (*credential.Files, *rest.Config, string, error) {
	transport := credential.NewTransport()
	files := &credential.Files{Paths: o.epicKubeconfigs, Transport: transport, Check: func(c *credential.Credential) error {
		if c.Config.Insecure {
			return errors.New("it does not verify EPIC's certificate: remove insecure-skip-tls-verify, and set certificate-authority-data")
		}
		if namespace := o.namespaceOf(c); !strings.HasPrefix(namespace, epic.AccountNamespacePrefix) {
			return fmt.Errorf("the namespace %q is not an account's: set --epic-namespace=%sACCOUNT", namespace, epic.AccountNamespacePrefix)
		}
		return nil
	}}
	if err := files.Load(); err != nil {
		return nil, nil, "", fmt.Errorf("configure access to EPIC: %w: set --epic-kubeconfig", err)
	}
	namespace := o.namespaceOf(transport.Credential())
	check := files.Check
	files.Check = func(c *credential.Credential) error {
		if other := o.namespaceOf(c); other != namespace {
			return fmt.Errorf("it is for the namespace %s, but the connector runs for %s: restart the connector", other, namespace)
		}
		return check(c)
	}
	config := rest.AddUserAgent(transport.Config(), program)
	config.QPS, config.Burst = o.client.QPS, o.client.Burst
	return files, config, namespace, nil
}

func (o *options) namespaceOf(c *credential.Credential) string {
	return cmp.Or(o.epicNamespace, c.Namespace)
}
