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

// options are what the flags set.
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

// flags are the flags by groups.
func (o *options) flags() cliflag.NamedFlagSets {
	var groups cliflag.NamedFlagSets
	remote := groups.FlagSet("EPIC")
	remote.StringSliceVar(&o.epicKubeconfigs, "epic-kubeconfig", o.epicKubeconfigs, "How to reach EPIC: the account's kubeconfig, which \"epicctl connect\" or \"epicctl create kubeconfig\" made. May be given several times: of those that are there, the one whose token was issued last is used. They are read again while the program runs.")
	remote.StringVar(&o.credentialSecret, "epic-credential-secret", o.credentialSecret, "The Secret, in the namespace of the lease, in which to store a credential for EPIC that the connector renews by itself, as "+credentialKey+". Without it the credential is not renewed.")
	remote.StringVar(&o.epicNamespace, "epic-namespace", o.epicNamespace, "The account's namespace in EPIC. Without it: the namespace of that kubeconfig.")
	remote.StringVar(&o.cluster, "cluster", o.cluster, "The ID of this cluster in EPIC, unique in the account. It must not change.")
	remote.StringSliceVar(&o.formerClusters, "former-clusters", o.formerClusters, "IDs that this cluster had before, or those of clusters that it replaces. What they published is taken over, or deleted where nothing here stands for it.")
	remote.StringVar(&o.group, "service-group", o.group, "The service group of Gateways and Services that name none. Without it: the only one that the account may use.")
	remote.StringVar(&o.secretsDir, "secrets-dir", o.secretsDir, "The folder in which to write certificates, for an EPIC without Kubernetes: the operator's secrets/ folder.")

	o.nodes.addFlags(groups.FlagSet("client nodes"))

	o.client.AddFlags(groups.FlagSet("API server"), "this cluster", " to either cluster")

	work := groups.FlagSet("work")
	work.IntVar(&o.workers, "workers", o.workers, "How many objects of each kind are worked on at once.")
	work.DurationVar(&o.rewriteSecrets, "rewrite-secrets", o.rewriteSecrets, "How often certificates are written again, because this program may not read whether they are still in EPIC.")
	work.DurationVar(&o.retryRefused, "retry-refused", o.retryRefused, "How long to wait before EPIC is asked again for what it refused.")

	o.election.AddFlags(groups.FlagSet("leader election"), "Work only while leading, by the lease "+leaseName+".",
		"the lease")

	o.observe.AddFlags(groups.FlagSet("observation"))
	o.logs.AddFlags(groups.FlagSet("logs"))
	return groups
}

// validate checks what only the flags together say.
func (o *options) validate() error {
	switch {
	case len(o.epicKubeconfigs) == 0:
		return fmt.Errorf("give --epic-kubeconfig, the file that \"epicctl create kubeconfig\" printed for the account")
	case o.cluster == "":
		return fmt.Errorf("give --cluster, a name for this cluster that no other of the account has")
	case len(validation.IsDNS1123Label(o.cluster)) > 0:
		return fmt.Errorf("--cluster is %q: give a name of lower case letters, digits and dashes, at most %d characters", o.cluster, validation.DNS1123LabelMaxLength)
	case slices.ContainsFunc(o.formerClusters, func(c string) bool { return strings.TrimSpace(c) == "" }):
		return fmt.Errorf("--former-clusters is %q: give names separated by commas, none of them empty", strings.Join(o.formerClusters, ","))
	case o.rewriteSecrets <= 0:
		return fmt.Errorf("--rewrite-secrets is %s: give a time", o.rewriteSecrets)
	case o.workers < 1:
		return fmt.Errorf("--workers is %d: give at least 1", o.workers)
	case o.retryRefused <= 0:
		return fmt.Errorf("--retry-refused is %s: give a time", o.retryRefused)
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

// local returns how to reach the client cluster, and the namespace of the lease.
func (o *options) local() (*rest.Config, string, error) {
	config, namespace, err := o.client.Load(program)
	if err != nil {
		return nil, "", fmt.Errorf("how to reach this cluster: %w: give --kubeconfig", err)
	}
	return config, o.election.In(namespace), nil
}

// remote returns how to reach EPIC, by a credential that may change while the program runs,
// and the account's namespace there.
func (o *options) remote() (*credential.Files, *rest.Config, string, error) {
	transport := credential.NewTransport()
	files := &credential.Files{Paths: o.epicKubeconfigs, Transport: transport, Check: func(c *credential.Credential) error {
		if c.Config.Insecure {
			return errors.New("it does not verify EPIC's certificate: remove insecure-skip-tls-verify, and give certificate-authority-data")
		}
		if namespace := o.namespaceOf(c); !strings.HasPrefix(namespace, epic.AccountNamespacePrefix) {
			return fmt.Errorf("the namespace %q is not an account's: give --epic-namespace=%sACCOUNT", namespace, epic.AccountNamespacePrefix)
		}
		return nil
	}}
	if err := files.Load(); err != nil {
		return nil, nil, "", fmt.Errorf("how to reach EPIC: %w: give --epic-kubeconfig", err)
	}
	namespace := o.namespaceOf(transport.Credential())
	check := files.Check
	files.Check = func(c *credential.Credential) error {
		if other := o.namespaceOf(c); other != namespace {
			return fmt.Errorf("it is for the namespace %s, and this program works for %s: start it again", other, namespace)
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
