// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/acnodal/epic/pkg/cli"
	"github.com/acnodal/epic/pkg/cli/kube"
	"github.com/acnodal/epic/pkg/cli/observe"
	"github.com/acnodal/epic/pkg/operator/workload"
)

const (
	runDeployments = "deployments"
	runProcesses   = "processes"

	inNamespaces = "namespaces"
	onLoopback   = "loopback"
	onHost       = "host"

	// leaseName is the name of the replicas' Lease.
	leaseName = "epic-operator"
	// xdsPort is the port on which the operator serves proxies.
	xdsPort = 7446
)

// options holds the values of the flags.
type options struct {
	client  kube.Client
	runner  string
	workers int
	resync  time.Duration

	// For Deployments.
	xdsAddress, service    string
	envoyImage, proxyImage string
	pullPolicy             string
	cpuRequest             string
	keepKeys               bool
	memoryRequest          string
	memoryLimit            string

	// For processes.
	dir, network, nodeAddress, proxy, envoy string

	// validator specifies what validates configurations.
	validator string

	observe  observe.Options
	election kube.Election
	logs     *cli.Logs
}

func newOptions() *options {
	return &options{
		client: kube.Client{QPS: 500, Burst: 1000}, runner: runDeployments, workers: 4, resync: 30 * time.Minute, observe: observe.Options{Address: "127.0.0.1:7448"},
		xdsAddress: fmt.Sprintf(":%d", xdsPort), service: "epic-operator",
		envoyImage: "acnodal/epic-envoy:dev", proxyImage: "acnodal/epic-proxy:dev", pullPolicy: string(corev1.PullIfNotPresent),
		cpuRequest: "50m", memoryRequest: "64Mi", memoryLimit: "512Mi",
		dir: "/var/lib/epic-operator", network: inNamespaces, proxy: sibling("epic-proxy"), envoy: os.Getenv("ENVOY"),
		validator: validatorAuto,
		election:  kube.NewElection(), logs: cli.NewLogs(),
	}
}

// sibling returns the path of a program in the directory of this one.
func sibling(name string) string {
	self, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(self), name)
}

// flags returns the flags by groups.
func (o *options) flags() cliflag.NamedFlagSets {
	var groups cliflag.NamedFlagSets
	o.client.AddFlags(groups.FlagSet("API server"), "the API server", "")

	work := groups.FlagSet("work")
	work.StringVar(&o.runner, "runner", o.runner, "How Envoys run: "+runDeployments+", or "+runProcesses+" of this host where there is no Kubernetes.")
	work.IntVar(&o.workers, "workers", o.workers, "Number of objects that are reconciled concurrently.")
	work.DurationVar(&o.resync, "resync", o.resync, "How often every object is reconciled without a change; 0 for never.")

	work.StringVar(&o.validator, "validator", o.validator, "What checks configurations before proxies get them: "+validatorAuto+" for an Envoy that this program starts, if there is one; unix:PATH for \"epic-operator validator\", which answers on that socket; or "+validatorOff+".")
	work.StringVar(&o.envoy, "envoy", o.envoy, "The Envoy program, which checks configurations and runs with --runner="+runProcesses+". Default: the environment variable ENVOY, or envoy in PATH.")

	cluster := groups.FlagSet(runDeployments)
	cluster.StringVar(&o.xdsAddress, "xds-address", o.xdsAddress, "Address on which to serve proxies.")
	cluster.StringVar(&o.service, "service", o.service, "The Service in the operator's namespace through which proxies reach it.")
	cluster.StringVar(&o.envoyImage, "envoy-image", o.envoyImage, "The Envoy image of proxies if neither the service group nor the EPIC object sets one.")
	cluster.StringVar(&o.proxyImage, "proxy-image", o.proxyImage, "The image with epic-proxy, which is copied into each proxy's pod.")
	cluster.StringVar(&o.pullPolicy, "image-pull-policy", o.pullPolicy, "When these images are pulled: Always, IfNotPresent or Never.")
	cluster.StringVar(&o.cpuRequest, "proxy-cpu-request", o.cpuRequest, "Request of a proxy's pod.")
	cluster.StringVar(&o.memoryRequest, "proxy-memory-request", o.memoryRequest, "Request of a proxy's pod.")
	cluster.StringVar(&o.memoryLimit, "proxy-memory-limit", o.memoryLimit, "Limit of a proxy's pod. Envoy sheds load before it is reached.")

	cluster.BoolVar(&o.keepKeys, "proxy-keep-keys", false, "Store the private keys of tenants' certificates on the disks of gateway nodes, so TLS listeners serve after a reboot of the node even if the operator is down.")

	host := groups.FlagSet(runProcesses)
	host.StringVar(&o.dir, "process-dir", o.dir, "The directory for running proxies: sockets, logs, keys, and proxies.yaml for epic-node gateway --proxies-file. Its path may have at most 60 characters.")
	host.StringVar(&o.network, "process-network", o.network, "Where proxies listen: in "+inNamespaces+" of their own with their public addresses, which takes root and epic-node gateway; on "+onLoopback+" addresses of this host; or with "+onHost+" on their public addresses, which this host must have.")
	host.StringVar(&o.nodeAddress, "node-address", o.nodeAddress, "This gateway node's address, the same as for epic-node gateway.")
	host.StringVar(&o.proxy, "proxy", o.proxy, "The program epic-proxy.")

	o.election.AddFlags(groups.FlagSet("leader election"), "Manage Deployments and conditions only while leading, by the lease "+leaseName+". With --runner="+runProcesses+" there is none.",
		"the lease, of the Service and of the certificate authority")

	o.observe.AddFlags(groups.FlagSet("observation"))
	o.logs.AddFlags(groups.FlagSet("logs"))
	return groups
}

// maxDir leaves room in the paths of unix sockets, which have at most 107 bytes.
const maxDir = 60

// validate checks flags that depend on each other.
func (o *options) validate() error {
	switch {
	case o.runner != runDeployments && o.runner != runProcesses:
		return fmt.Errorf("--runner is %q: set %s or %s", o.runner, runDeployments, runProcesses)
	case o.workers < 1:
		return fmt.Errorf("--workers is %d: set at least 1", o.workers)
	case o.resync < 0:
		return fmt.Errorf("--resync is %s: set a duration, or 0 for never", o.resync)
	}
	if err := o.client.Validate(); err != nil {
		return err
	}
	if err := validValidator(o.validator); err != nil {
		return err
	}
	if err := o.observe.Validate(); err != nil {
		return err
	}
	if o.runner == runProcesses {
		return o.validateProcesses()
	}
	if _, err := o.resources(); err != nil {
		return err
	}
	switch corev1.PullPolicy(o.pullPolicy) {
	case corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		return fmt.Errorf("--image-pull-policy is %q: set Always, IfNotPresent or Never", o.pullPolicy)
	}
	return o.election.Validate()
}

func (o *options) validateProcesses() error {
	var err error
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return fmt.Errorf("--process-dir: %w", err)
	}
	if len(o.dir) > maxDir {
		return fmt.Errorf("--process-dir is %s, which has %d characters: set a directory with at most %d, because it contains sockets", o.dir, len(o.dir), maxDir)
	}
	switch o.network {
	case inNamespaces:
		if os.Geteuid() != 0 {
			return fmt.Errorf("--process-network=%s requires root: run as root, or set --process-network=%s", inNamespaces, onLoopback)
		}
		if _, err := netip.ParseAddr(o.nodeAddress); err != nil {
			return fmt.Errorf("--node-address is %q: set this gateway node's address, the same as for epic-node gateway", o.nodeAddress)
		}
	case onLoopback, onHost:
		if o.nodeAddress != "" {
			return fmt.Errorf("--node-address has no effect with --process-network=%s, because no tunnels lead there: remove it", o.network)
		}
	default:
		return fmt.Errorf("--process-network is %q: set %s, %s or %s", o.network, inNamespaces, onLoopback, onHost)
	}
	return nil
}

// resources returns the resources of a proxy's pod.
func (o *options) resources() (corev1.ResourceRequirements, error) {
	r := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for _, f := range []struct {
		flag, value string
		list        corev1.ResourceList
		name        corev1.ResourceName
	}{
		{"--proxy-cpu-request", o.cpuRequest, r.Requests, corev1.ResourceCPU},
		{"--proxy-memory-request", o.memoryRequest, r.Requests, corev1.ResourceMemory},
		{"--proxy-memory-limit", o.memoryLimit, r.Limits, corev1.ResourceMemory},
	} {
		if f.value == "" {
			continue
		}
		q, err := resource.ParseQuantity(f.value)
		if err != nil {
			return r, fmt.Errorf("%s is %q: set a quantity, such as 100m or 256Mi", f.flag, f.value)
		}
		f.list[f.name] = q
	}
	return r, nil
}

// platform returns the configuration that proxies' pods share.
func (o *options) platform(namespace string) (workload.Platform, error) {
	resources, err := o.resources()
	host := o.service + "." + namespace + ".svc"
	return workload.Platform{
		EnvoyImage: o.envoyImage, ProxyImage: o.proxyImage, PullPolicy: corev1.PullPolicy(o.pullPolicy),
		Operator: fmt.Sprintf("%s:%d", host, xdsPort), ServerName: host,
		OperatorNamespace: namespace, OperatorLabels: map[string]string{"app.kubernetes.io/name": program}, OperatorPort: xdsPort,
		Resources: resources, KeepKeys: o.keepKeys,
	}, err
}

// clients returns the client configuration of the API server, and the namespace of the
// context.
func (o *options) clients() (*rest.Config, string, error) {
	config, namespace, err := o.client.Load(program)
	if err != nil {
		return nil, "", fmt.Errorf("configure access to the API server: %w: set --kubeconfig", err)
	}
	return config, o.election.In(namespace), nil
}
