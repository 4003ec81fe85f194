// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

// connectorDuration is the default lifetime of the token in a manifest: the time that the
// tenant has to apply it. After that, the connector renews it.
const connectorDuration = 7 * 24 * time.Hour

const (
	outputManifest   = "manifest"
	outputHelmValues = "helm-values"
)

// connectorAccount returns the name of the service account of a client cluster's
// connector.
func connectorAccount(cluster string) string { return "connector." + cluster }

// connectorBinding returns the name of the role binding that grants its permissions.
func connectorBinding(cluster string) string { return connectorRole + "." + cluster }

// nodesBinding returns the name of the role binding of its cluster's nodes, to which the
// connector adds their service accounts.
func nodesBinding(cluster string) string { return nodeClientRole + "." + cluster }

// checkCluster rejects names that the connector would reject when it starts.
func checkCluster(cluster string) error {
	switch {
	case cluster == "":
		return usagef("--cluster is not set: set a name that is unique in the account")
	case len(validation.IsDNS1123Label(cluster)) > 0:
		return usagef("--cluster %q is not a valid name of a client cluster: use at most %d lowercase letters, digits and dashes, with a letter or a digit at both ends",
			shortened(cluster), validation.DNS1123LabelMaxLength)
	}
	return nil
}

// addClusterFlags adds the flags that identify a client cluster of an account.
func addClusterFlags(t *tool, c *cobra.Command, account, cluster *string) {
	c.Flags().StringVar(account, "account", "", "The account of the client cluster.")
	c.Flags().StringVar(cluster, "cluster", "", "The name of the client cluster, unique in the account. It does not select a cluster of your kubeconfig: use --context for that.")
	must(c.RegisterFlagCompletionFunc("account", completeAccounts(t, false)))
	must(c.RegisterFlagCompletionFunc("cluster", completeConnected(t, account)))
}

type connect struct {
	createKubeconfig
	cluster, group, image, nodeImage string
	monitoring                       bool
	output                           string
}

func newConnect(t *tool) *cobra.Command {
	o := &connect{createKubeconfig: createKubeconfig{tool: t}}
	c := &cobra.Command{
		Use:   "connect --account NAME --cluster CLUSTER [flags]",
		Short: "Print the manifest that a tenant applies to publish from a cluster",
		Long: "Print the manifest that a tenant applies in a client cluster: the connector with its\n" +
			"permissions there, its credential for the account, the node program, and the\n" +
			"GatewayClass epic.\n\n" +
			"In the gateway cluster, this command creates the service account connector.CLUSTER in\n" +
			"the account's namespace, binds it to the roles epic-connector and epic-offered-viewer,\n" +
			"and creates a role binding for the cluster's nodes. It does not change existing objects.\n" +
			"The tenant must apply the manifest before the token in it expires. After that, the\n" +
			"connector renews its credential and issues credentials to the nodes. \"epicctl\n" +
			"disconnect\" revokes all of them.\n\n" +
			"With -o helm-values, it prints values for the Helm chart epic-connector that install the\n" +
			"same objects.",
		Example: "  epicctl connect --account acme --cluster paris --group web -f paris.yaml\n" +
			"  epicctl connect --account acme --cluster paris | kubectl --context paris apply -f -\n" +
			"  epicctl connect --account acme --cluster paris -o helm-values | helm install epic-connector epic-connector --values -",
		Args:              exactly(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	addClusterFlags(t, c, &o.account, &o.cluster)
	c.Flags().StringVar(&o.group, "group", "", "The service group of the cluster's Gateways and Services that do not set one. Default: the only one that the account may use.")
	c.Flags().StringVar(&o.image, "image", "", "The connector's image. Default: the image in artifacts/install/connector.")
	c.Flags().StringVar(&o.nodeImage, "node-image", "", "The image of the node program. Default: the image in artifacts/install/node-client.")
	c.Flags().DurationVar(&o.duration, "duration", connectorDuration, "How long the token in the manifest is valid. The tenant must apply the manifest within this time.")
	c.Flags().StringVarP(&o.file, "file", "f", "", "The file to write, which only its owner can read. Default: print the manifest.")
	c.Flags().BoolVar(&o.overwrite, "overwrite", false, "Replace the file if it exists.")
	c.Flags().BoolVar(&o.monitoring, "monitoring", false, "Add PodMonitors and rules for the Prometheus Operator, whose kinds the client cluster must have.")
	c.Flags().StringVarP(&o.output, "output", "o", outputManifest, "Output format: manifest, or helm-values for the chart epic-connector.")
	must(c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]cobra.Completion{outputManifest, outputHelmValues}, cobra.ShellCompDirectiveNoFileComp)))
	must(c.RegisterFlagCompletionFunc("group", o.completeGroups))
	must(c.RegisterFlagCompletionFunc("image", cobra.NoFileCompletions))
	must(c.RegisterFlagCompletionFunc("node-image", cobra.NoFileCompletions))
	must(c.RegisterFlagCompletionFunc("duration", cobra.NoFileCompletions))
	o.dryRun.addFlag(c)
	return c
}

func (o *connect) completeGroups(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
	defer cancel()
	client, err := o.epic()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names, err := usableGroups(ctx, client, o.account)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (o *connect) check() error {
	if o.account == "" {
		return usagef("--account is not set: set the account of the client cluster; \"epicctl get accounts\" lists the accounts")
	}
	if err := checkAccountName(o.account); err != nil {
		return err
	}
	if err := checkCluster(o.cluster); err != nil {
		return err
	}
	if o.group != "" && len(validation.IsDNS1123Subdomain(o.group)) > 0 {
		return usagef("--group %q is not a valid name of a service group: use lowercase letters, digits and dashes, without the namespace", shortened(o.group))
	}
	if o.duration <= 0 {
		return usagef("--duration %s is too short: use %s or more", o.duration, shortestToken)
	}
	for flag, image := range map[string]string{"--image": o.image, "--node-image": o.nodeImage} {
		if strings.ContainsAny(image, " \t\r\n") {
			return usagef("%s %q is not a valid name of an image: write it as REGISTRY/NAME:TAG", flag, shortened(image))
		}
	}
	if o.output != outputManifest && o.output != outputHelmValues {
		return usagef("--output %q is not supported: use %s or %s", shortened(o.output), outputManifest, outputHelmValues)
	}
	if o.output == outputHelmValues && strings.Contains(o.image+o.nodeImage, "@") {
		return usagef("--output %s only supports images with a tag, not with a digest: write them as REGISTRY/NAME:TAG", outputHelmValues)
	}
	o.serviceAccount = connectorAccount(o.cluster)
	return o.checkOutput()
}

func (o *connect) run(ctx context.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	bindings := o.bindings()
	if o.dryRun == dryRunClient {
		o.note("serviceaccount/%s %s%s, if it does not exist; no token is requested, and no manifest is printed", o.serviceAccount, created, o.dryRun.suffix())
		for _, b := range bindings {
			o.note("rolebinding/%s in namespace %s with it%s", b.Name, b.Namespace, o.dryRun.suffix())
		}
		return nil
	}
	kube, epic, err := o.clients()
	if err != nil {
		return err
	}
	around, err := lookInCluster(kube, "start the connector with the kubeconfig that the server wrote for its administrator, as described in docs/connector.md")
	if err != nil {
		return err
	}
	if err := o.checkServer(); err != nil {
		return err
	}
	if err := o.checkAccount(ctx, epic); err != nil {
		return err
	}
	if err := o.chooseGroup(ctx, epic); err != nil {
		return err
	}
	if err := o.makeAccount(ctx, kube, around, bindings); err != nil || o.dryRun != dryRunNone {
		return err
	}
	data, expires, err := o.kubeconfig(ctx, kube)
	if err != nil {
		return err
	}
	in := connectorInstall{
		account: o.account, cluster: o.cluster, group: o.group, image: o.image, nodeImage: o.nodeImage, monitoring: o.monitoring, tag: buildinfo.Tagged(), kubeconfig: data, expires: expires,
	}
	write := connectorManifest
	if o.output == outputHelmValues {
		write = helmValues
	}
	manifest, err := write(in)
	if err != nil {
		return err
	}
	if err := o.deliver(manifest); err != nil {
		return err
	}
	o.nextOfCluster(expires)
	return nil
}

// bindings returns those that grant the connector its permissions: its own in the
// account's namespace, and the account's in the namespace of the groups that are offered
// to all, without which it could not start. Another one is for its nodes, which it adds.
func (o *connect) bindings() []*rbacv1.RoleBinding {
	ns := accountNamespace(o.account)
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: o.serviceAccount}}
	own := newBinding(ns, connectorRole, subjects)
	own.Name = connectorBinding(o.cluster)
	offered := newBinding(epic.ConfigNamespace, offeredRole, subjects)
	offered.Name = offeredBinding(o.account)
	nodes := newBinding(ns, nodeClientRole, nil)
	nodes.Name = nodesBinding(o.cluster)
	return []*rbacv1.RoleBinding{own, offered, nodes}
}

// makeAccount creates the connector's service account with its permissions.
func (o *connect) makeAccount(ctx context.Context, kube kubernetes.Interface, around surroundings, bindings []*rbacv1.RoleBinding) error {
	result, err := o.ensureServiceAccount(ctx, kube)
	if err != nil {
		return err
	}
	o.note("serviceaccount/%s %s%s", o.serviceAccount, result, o.dryRun.suffix())
	if !around.rbac {
		o.note("This server has no RBAC, so no roles are bound.")
		return nil
	}
	ensure := &createAccount{tool: o.tool, kubeClient: kube, dryRun: o.dryRun}
	for _, b := range bindings {
		result, _, err := ensure.ensureBinding(ctx, b)
		if apierrors.IsForbidden(err) {
			return fmt.Errorf("rolebinding/%s could not be created in namespace %s: %w\nConnecting clusters requires the ClusterRole epic-connector-issuer in namespace %s, and epic-platform-admin or the same permissions in namespace %s. Once you have them, repeat the command to complete it.",
				b.Name, b.Namespace, err, accountNamespace(o.account), epic.ConfigNamespace)
		}
		if err != nil {
			return err
		}
		o.note("rolebinding/%s %s%s", b.Name, result, o.dryRun.suffix())
	}
	return nil
}

// checkServer rejects an address that the connector would reject, and warns of one that
// it can't reach, before anything is created.
func (o *connect) checkServer() error {
	config, err := o.config()
	if err != nil {
		return err
	}
	cluster, err := clusterOf(config)
	if err != nil {
		return err
	}
	if cluster.InsecureSkipTLSVerify {
		return errors.New("your kubeconfig does not verify the server's certificate (insecure-skip-tls-verify), but the connector always does: set certificate-authority-data there, or --certificate-authority")
	}
	address, err := url.Parse(cluster.Server)
	if err != nil {
		return err
	}
	if address.Scheme != "https" {
		return fmt.Errorf("your kubeconfig connects to the server without TLS (%s), but the connector requires TLS: set --server to an address that begins with https://", cluster.Server)
	}
	if host := address.Hostname(); isLoopback(host) {
		o.note("Warning: the manifest contains the server address %s, which only this machine can reach: set the address for client clusters with --server (and --tls-server-name, if the certificate has another name).", net.JoinHostPort(host, address.Port()))
	}
	return nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// chooseGroup returns the service group, or an error that lists the existing ones.
func (o *connect) chooseGroup(ctx context.Context, client versioned.Interface) error {
	groups, err := usableGroups(ctx, client, o.account)
	if err != nil {
		return err
	}
	switch {
	case len(groups) == 0:
		return fmt.Errorf("the account %s can't use any service group yet: create one first with \"epicctl create group web --account %s --prefix PREFIX\"", o.account, o.account)
	case o.group == "" && len(groups) > 1:
		return usagef("--group is not set: the account %s may use %s; set the one for Gateways and Services that do not set one", o.account, listed(groups))
	case o.group == "":
		o.group = groups[0]
	case !slices.Contains(groups, o.group):
		return usagef("--group %q is not a service group that the account %s may use: use one of %s", o.group, o.account, listed(groups))
	}
	return nil
}

// usableGroups returns the names of the service groups that an account may use.
func usableGroups(ctx context.Context, client versioned.Interface, account string) ([]string, error) {
	var names []string
	for _, ns := range []string{accountNamespace(account), epic.ConfigNamespace} {
		err := each(ctx, collection[*v1.LBServiceGroup]("lbservicegroups", ns, client.EpicV1().LBServiceGroups(ns).List), func(o *v1.LBServiceGroup) error {
			names = append(names, o.Name)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// nextOfCluster prints the next steps of the tenant.
func (o *connect) nextOfCluster(expires time.Time) {
	file := o.file
	if file == "" {
		file = "FILE"
	}
	before := ""
	if !expires.IsZero() {
		before = " before " + expires.UTC().Format(time.RFC3339)
	}
	what, command := "manifest", "kubectl apply -f "+file
	if o.output == outputHelmValues {
		what, command = "values", "helm install epic-connector epic-connector --values "+file
	}
	o.next("  Give the %s, with a credential inside, to the tenant over a secure channel. In a cluster\n"+
		"  with the Gateway API v1.6, experimental channel, they apply it%s:\n"+
		"    %s\n"+
		"    kubectl -n %s rollout status deployment/%s\n"+
		"    kubectl -n %s rollout status daemonset/%s\n"+
		"  After that, credentials renew themselves. To revoke them and close the cluster's tunnels:\n"+
		"    epicctl disconnect --account %s --cluster %s",
		what, before, command, connectorName, connectorName, clientNamespace, nodeProgram, o.account, o.cluster)
}
