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

const setupLong = `Complete an installation in a cluster by what no manifest can contain: its certificates,
the authority in the APIService, the first master key of its tunnels, and the EPIC object.

What exists is kept; certificates with less than a third of their life left are renewed.
With --tunnel-key-rotation, the master key of tunnels is replaced: one run adds a new key, a
later one has tunnels send with it, a third one removes the former key. At least 12 hours lie
between two steps, in which every node gets its keys, so no packet is lost.
The authorities last ten years and are never replaced. What fails is tried again until
--timeout, because the API may still be starting. A Job and a CronJob of
artifacts/install/setup run it.`

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
				return fmt.Errorf("--etcd-members is %d: give 0 or more", s.EtcdMembers)
			}
			if s.TunnelKeyRotation < 0 || s.TunnelKeyRotation > 0 && s.TunnelKeyRotation < setup.MinTunnelKeyRotation {
				return fmt.Errorf("--tunnel-key-rotation is %s: give at least %s, or 0 for never", s.TunnelKeyRotation, setup.MinTunnelKeyRotation)
			}
			if s.Namespace == "" {
				return errors.New("--namespace is empty: name the namespace of the API server")
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
				return fmt.Errorf("how to reach the cluster: %w: give --kubeconfig", err)
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
	fs.StringVar(&kubeconfig, "kubeconfig", "", "Reach the cluster with the kubeconfig in `FILE`, and not with the pod's service account")
	fs.StringVar(&s.Namespace, "namespace", "epic-system", "The API server's `NAMESPACE`")
	fs.BoolVar(&s.Certificates, "certificates", true, "Make and renew the certificates. Without it, somebody else makes them, such as cert-manager")
	fs.IntVar(&s.EtcdMembers, "etcd-members", 0, "Make the certificates of an etcd with so many `MEMBERS`")
	fs.DurationVar(&s.TunnelKeyRotation, "tunnel-key-rotation", 0, "Replace the master key of tunnels when it is this old, in three steps of different runs; 0 never")
	fs.StringVar(&specFile, "epic-spec-file", "", "Set the fields of the EPIC object's spec that `FILE` has")
	fs.DurationVar(&timeout, "timeout", 10*time.Minute, "Give up after this long")
	return cmd
}
