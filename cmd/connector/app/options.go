// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/cli"
)

// leaseName is the name of the replicas' Lease.
const leaseName = "epic-connector"

// options are what the flags set.
type options struct {
	kubeconfig string
	qps        float32
	burst      int

	epicKubeconfig, epicNamespace string
	cluster, group                string
	secretsDir                    string

	workers      int
	retryRefused time.Duration
	address      string

	elect                                     bool
	namespace                                 string
	leaseDuration, renewDeadline, retryPeriod time.Duration

	logs *cli.Logs
}

func newOptions() *options {
	return &options{
		qps: 200, burst: 400, workers: 4, retryRefused: time.Minute, address: "127.0.0.1:7449",
		elect: true, leaseDuration: 15 * time.Second, renewDeadline: 10 * time.Second, retryPeriod: 2 * time.Second,
		logs: cli.NewLogs(),
	}
}

// flags are the flags by groups.
func (o *options) flags() cliflag.NamedFlagSets {
	var groups cliflag.NamedFlagSets
	remote := groups.FlagSet("EPIC")
	remote.StringVar(&o.epicKubeconfig, "epic-kubeconfig", o.epicKubeconfig, "How to reach EPIC: the account's kubeconfig, which \"epicctl create kubeconfig\" prints.")
	remote.StringVar(&o.epicNamespace, "epic-namespace", o.epicNamespace, "The account's namespace in EPIC. Without it: the namespace of that kubeconfig.")
	remote.StringVar(&o.cluster, "cluster", o.cluster, "The ID of this cluster in EPIC, unique in the account. It must not change.")
	remote.StringVar(&o.group, "service-group", o.group, "The service group of Gateways and Services that name none. Without it: the only one that the account may use.")
	remote.StringVar(&o.secretsDir, "secrets-dir", o.secretsDir, "The folder in which to write certificates, for an EPIC without Kubernetes: the operator's secrets/ folder.")

	api := groups.FlagSet("API server")
	api.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "How to reach this cluster. Without it: the environment's KUBECONFIG, the home directory's, or this pod's service account.")
	api.Float32Var(&o.qps, "kube-api-qps", o.qps, "Requests a second at most to either cluster; -1 for no limit.")
	api.IntVar(&o.burst, "kube-api-burst", o.burst, "Requests at once at most to either cluster.")

	work := groups.FlagSet("work")
	work.IntVar(&o.workers, "workers", o.workers, "How many objects of each kind are worked on at once.")
	work.DurationVar(&o.retryRefused, "retry-refused", o.retryRefused, "How long to wait before EPIC is asked again for what it refused.")

	election := groups.FlagSet("leader election")
	election.BoolVar(&o.elect, "leader-elect", o.elect, "Work only while leading, by the lease "+leaseName+".")
	election.StringVar(&o.namespace, "leader-elect-namespace", o.namespace, "The namespace of the lease. Without it: this pod's, or the kubeconfig's.")
	election.DurationVar(&o.leaseDuration, "leader-elect-lease-duration", o.leaseDuration, "How long others wait for a leader that is silent.")
	election.DurationVar(&o.renewDeadline, "leader-elect-renew-deadline", o.renewDeadline, "After how long without success a leader gives up; shorter than the lease's duration.")
	election.DurationVar(&o.retryPeriod, "leader-elect-retry-period", o.retryPeriod, "How often to try to get or to renew the lease; shorter than the deadline.")

	observe := groups.FlagSet("observation")
	observe.StringVar(&o.address, "bind-address", o.address, "Where to serve /metrics, /healthz, /livez and /readyz over HTTP; empty for nowhere.")
	o.logs.AddFlags(groups.FlagSet("logs"))
	return groups
}

// validate checks what only the flags together say.
func (o *options) validate() error {
	switch {
	case o.epicKubeconfig == "":
		return fmt.Errorf("give --epic-kubeconfig, the file that \"epicctl create kubeconfig\" printed for the account")
	case o.cluster == "":
		return fmt.Errorf("give --cluster, a name for this cluster that no other of the account has")
	case len(validation.IsDNS1123Label(o.cluster)) > 0:
		return fmt.Errorf("--cluster is %q: give a name of lower case letters, digits and dashes, at most %d characters", o.cluster, validation.DNS1123LabelMaxLength)
	case o.workers < 1:
		return fmt.Errorf("--workers is %d: give at least 1", o.workers)
	case o.retryRefused <= 0:
		return fmt.Errorf("--retry-refused is %s: give a time", o.retryRefused)
	case o.qps == 0 || o.qps > 0 && o.burst < 1:
		return fmt.Errorf("--kube-api-qps=%v and --kube-api-burst=%d let no request pass: give more, or --kube-api-qps=-1 for no limit", o.qps, o.burst)
	case !o.elect:
		return nil
	case o.retryPeriod <= 0 || o.renewDeadline <= o.retryPeriod*2 || o.leaseDuration <= o.renewDeadline:
		return fmt.Errorf("--leader-elect-retry-period=%s, --leader-elect-renew-deadline=%s and --leader-elect-lease-duration=%s do not fit: "+
			"the deadline must be more than twice the period, and the duration more than the deadline", o.retryPeriod, o.renewDeadline, o.leaseDuration)
	}
	return nil
}

// load returns how to reach an API server, and the namespace that goes with it.
func (o *options) load(file string) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = file
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", err
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", err
	}
	config = rest.AddUserAgent(config, program)
	config.QPS, config.Burst = o.qps, o.burst
	return config, namespace, nil
}

// local returns how to reach the client cluster, and the namespace of the lease.
func (o *options) local() (*rest.Config, string, error) {
	config, namespace, err := o.load(o.kubeconfig)
	if err != nil {
		return nil, "", fmt.Errorf("how to reach this cluster: %w: give --kubeconfig", err)
	}
	if o.namespace != "" {
		namespace = o.namespace
	}
	return config, namespace, nil
}

// remote returns how to reach EPIC, and the account's namespace there.
func (o *options) remote() (*rest.Config, string, error) {
	config, namespace, err := o.load(o.epicKubeconfig)
	if err != nil {
		return nil, "", fmt.Errorf("how to reach EPIC: %w: give --epic-kubeconfig", err)
	}
	if o.epicNamespace != "" {
		namespace = o.epicNamespace
	}
	if config.Insecure {
		return nil, "", fmt.Errorf("the kubeconfig %s does not verify EPIC's certificate: remove insecure-skip-tls-verify, and give certificate-authority-data", o.epicKubeconfig)
	}
	if !strings.HasPrefix(namespace, epic.AccountNamespacePrefix) {
		return nil, "", fmt.Errorf("the namespace %q is not an account's: give --epic-namespace=%sACCOUNT", namespace, epic.AccountNamespacePrefix)
	}
	return config, namespace, nil
}
