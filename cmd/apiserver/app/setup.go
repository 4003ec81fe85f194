// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/acnodal/epic/pkg/setup"
)

const setupLong = `Complete an installation in a cluster with what manifests can't contain: its
certificates, the CA certificate in the APIService, the first master key of its tunnels,
and the EPIC object.

Existing objects are kept, and certificates in the last third of their lifetime are
renewed. With --tunnel-key-rotation, the master key of tunnels is replaced in three
runs: the first adds a new key, the second makes tunnels send with it, and the third
removes the previous key. There are at least 12 hours between two steps, in which every
node gets its keys, so no packet is lost. The certificate authorities are valid for ten
years and never replaced. Failed steps are retried until --timeout, because the API may
still be starting. A Job and a CronJob in artifacts/install/setup run this command.`

func newSetupCommand() *cobra.Command {
	var (
		kubeconfig, specFile string
		s                    = &setup.Setup{}
		timeout              time.Duration
	)
	cmd := &cobra.Command{
		Use:     "setup",
		Short:   "Complete an installation in a cluster: certificates, keys, the EPIC object",
		Long:    setupLong,
		Example: "  epic-apiserver setup --namespace=epic-system --etcd-members=3",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if s.EtcdMembers < 0 {
				return fmt.Errorf("--etcd-members is %d: set 0 or more", s.EtcdMembers)
			}
			if s.TunnelKeyRotation < 0 || s.TunnelKeyRotation > 0 && s.TunnelKeyRotation < setup.MinTunnelKeyRotation {
				return fmt.Errorf("--tunnel-key-rotation is %s: set at least %s, or 0 for never", s.TunnelKeyRotation, setup.MinTunnelKeyRotation)
			}
			if s.Namespace == "" {
				return errors.New("--namespace is empty: set the namespace of the API server")
			}
			if specFile != "" {
				text, err := os.ReadFile(specFile)
				if err != nil {
					return fmt.Errorf("--epic-spec-file: %w", err)
				}
				if s.Spec, err = setup.ParseSpec(text); err != nil {
					return fmt.Errorf("--epic-spec-file: %w", err)
				}
			}
			config, err := rest.InClusterConfig()
			if kubeconfig != "" {
				config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
			}
			if err != nil {
				return fmt.Errorf("configure access to the cluster: %w: set --kubeconfig", err)
			}
			if s.Kube, err = kubernetes.NewForConfig(config); err != nil {
				return err
			}
			if s.Dynamic, err = dynamic.NewForConfig(config); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			return s.Run(ctx)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&kubeconfig, "kubeconfig", "", "Kubeconfig `FILE` of the cluster. Default: the pod's service account")
	fs.StringVar(&s.Namespace, "namespace", "epic-system", "The API server's `NAMESPACE`")
	fs.BoolVar(&s.Certificates, "certificates", true, "Create and renew the certificates. Disable it if something else does, such as cert-manager")
	fs.IntVar(&s.EtcdMembers, "etcd-members", 0, "Create the certificates of an etcd with this number of `MEMBERS`")
	fs.DurationVar(&s.TunnelKeyRotation, "tunnel-key-rotation", 0, "Age at which the master key of tunnels is replaced, in three steps in separate runs; 0 for never")
	fs.StringVar(&specFile, "epic-spec-file", "", "Set the fields in `FILE` in the EPIC object's spec")
	fs.DurationVar(&timeout, "timeout", 10*time.Minute, "Time after which to fail")
	return cmd
}
