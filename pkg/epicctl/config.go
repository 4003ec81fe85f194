// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// config prints what a proxy was sent and what its Envoys accepted.
type config struct {
	*tool
	kind, name string
	pod        string
	bodies     bool
	// exec runs a command in the Envoy container of a pod. Tests replace it.
	exec func(ctx context.Context, namespace, pod string, command []string, out, errOut io.Writer) error
}

func newConfig(t *tool) *cobra.Command {
	o := &config{tool: t}
	o.exec = o.inPod
	cmd := &cobra.Command{
		Use:   "config KIND/NAME [flags]",
		Short: "Print the configuration that the Envoys of a load balancer or gateway proxy received and accepted",
		Long: "Print, in JSON, each resource that the Envoys of a load balancer or gateway proxy\n" +
			"received, and the version that each of them accepted. The command queries the pods with\n" +
			"exec. Without Kubernetes, run \"epic-proxy config\" on the gateway host.",
		Example:           "  epicctl config lb/shop -n epic-acme\n  epicctl config gwp/web -n epic-acme --bodies",
		Args:              exactly("KIND/NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if o.kind, o.name, err = proxyArgument(args[0]); err != nil {
				return err
			}
			return o.run(c.Context())
		},
	}
	cmd.Flags().StringVar(&o.pod, "pod", "", "Query only this pod.")
	cmd.Flags().BoolVar(&o.bodies, "bodies", false, "Also print the resources, except secrets.")
	return cmd
}

// proxyArgument parses KIND/NAME, with any of the kind's names.
func proxyArgument(arg string) (label, name string, err error) {
	kind, name, ok := strings.Cut(arg, "/")
	if !ok || name == "" {
		return "", "", usagef("%q is not of the form KIND/NAME, such as lb/shop or gwp/web", arg)
	}
	switch strings.TrimSuffix(strings.ToLower(kind), "."+v1.GroupName) {
	case "lb", "lbs", "loadbalancer", "loadbalancers":
		return epic.OwningLoadBalancerLabel, name, nil
	case "gwp", "gwps", "gwproxy", "gwproxies":
		return epic.OwningProxyLabel, name, nil
	}
	return "", "", usagef("%q is not a kind with Envoys: specify lb/NAME or gwp/NAME", kind)
}

func (o *config) run(ctx context.Context) error {
	namespace := o.namespace()
	if namespace == "" {
		return usagef("the account's namespace is not set: set it with -n")
	}
	kube, err := o.kube()
	if err != nil {
		return err
	}
	selector := labels.SelectorFromSet(labels.Set{
		epic.PartOfLabel: epic.ProductName, epic.ComponentLabel: epic.EnvoyComponent, o.kind: epic.LabelValue(o.name),
	})
	pods, err := kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if notServed(err) {
		return errors.New("this is a standalone server, whose proxies are not pods: run \"epic-proxy config --dir=FOLDER/run\" on the gateway host, with the directory in the operator's log")
	}
	if err != nil {
		return right{"list", "pods", namespace}.explain(err)
	}
	command := []string{"/epic/bin/epic-proxy", "config"}
	if o.bodies {
		command = append(command, "--bodies")
	}
	asked := 0
	var errs []error
	for _, pod := range pods.Items {
		if o.pod != "" && pod.Name != o.pod || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		asked++
		var out, errOut bytes.Buffer
		if err := o.exec(ctx, namespace, pod.Name, command, &out, &errOut); err != nil {
			errs = append(errs, fmt.Errorf("pod %s: %w: %s", pod.Name, err, line(errOut.String())))
			continue
		}
		if _, err := out.WriteTo(o.Out); err != nil {
			return err
		}
	}
	if asked == 0 {
		return fmt.Errorf("no pod of %s runs in namespace %s: \"kubectl get lb,gwp -n %s\" shows why", o.name, namespace, namespace)
	}
	return errors.Join(errs...)
}

// inPod runs a command in a pod.
func (o *config) inPod(ctx context.Context, namespace, pod string, command []string, out, errOut io.Writer) error {
	rest, err := o.tool.config()
	if err != nil {
		return err
	}
	kube, err := o.kube()
	if err != nil {
		return err
	}
	request := kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: "envoy", Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(rest, "GET", request.URL().String())
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: out, Stderr: errOut})
}
