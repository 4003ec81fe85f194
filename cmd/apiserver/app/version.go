// SPDX-License-Identifier: Apache-2.0

package app

import (
	"github.com/spf13/cobra"
	etcdversion "go.etcd.io/etcd/api/v3/version"
	baseversion "k8s.io/component-base/version"

	"github.com/acnodal/epic/pkg/cli"
)

func newVersionCommand() *cobra.Command {
	return cli.NewVersionCommand(program, "kubernetes "+baseversion.DefaultKubeBinaryVersion, "etcd "+etcdversion.Version)
}
