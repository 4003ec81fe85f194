// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/nodeidentity"
)

const (
	// shortestToken is the shortest lifetime that Kubernetes allows.
	shortestToken = 10 * time.Minute
	// onlyOwner is the mode of a file with a credential.
	onlyOwner = 0o600
)

type createKubeconfig struct {
	*tool
	account, serviceAccount, file string
	// node is the address of the client node for which the kubeconfig is, or empty.
	node      string
	duration  time.Duration
	overwrite bool
	dryRun    dryRun
}

func newCreateKubeconfig(t *tool) *cobra.Command {
	o := &createKubeconfig{tool: t}
	c := &cobra.Command{
		Use:   "kubeconfig ACCOUNT (--service-account NAME | --node ADDRESS) [flags]",
		Short: "Create a kubeconfig for a service account, or a node, of an account",
		Long: "Create a kubeconfig for a service account in an account's namespace, with a token that\n" +
			"expires. The service account is created if it does not exist. It has the permissions\n" +
			"that \"create account ACCOUNT --service-account\" grants.\n\n" +
			"With --node, the kubeconfig is for the node program on a client node: the service\n" +
			"account is named after the node's address and bound to the role epic-node-client. It can\n" +
			"read the account's namespace, and gets the keys of the tunnels that end at that address.",
		Example: "  epicctl create account acme --service-account epic-acme/deployer\n" +
			"  epicctl create kubeconfig acme --service-account deployer --duration 24h -f acme.kubeconfig\n" +
			"  epicctl create kubeconfig acme --node 192.168.1.16 --duration 8760h -f node.kubeconfig",
		Args:              exactly("ACCOUNT"),
		ValidArgsFunction: completeAccounts(t, false),
		RunE: func(c *cobra.Command, args []string) error {
			o.account = args[0]
			return o.run(c.Context())
		},
	}
	c.Flags().StringVar(&o.serviceAccount, "service-account", "", "The name of the service account in the account's namespace.")
	c.Flags().DurationVar(&o.duration, "duration", 0, "How long the token is valid, such as 24h. Default: the server's default.")
	c.Flags().StringVarP(&o.file, "file", "f", "", "The file to write, which only its owner can read. Default: print the kubeconfig.")
	c.Flags().BoolVar(&o.overwrite, "overwrite", false, "Replace the file if it exists.")
	c.Flags().StringVar(&o.node, "node", "", "The address of a client node, as in its endpoints.")
	c.MarkFlagsMutuallyExclusive("service-account", "node")
	must(c.RegisterFlagCompletionFunc("node", cobra.NoFileCompletions))
	must(c.RegisterFlagCompletionFunc("service-account", o.completeServiceAccounts))
	must(c.RegisterFlagCompletionFunc("duration", cobra.NoFileCompletions))
	o.dryRun.addFlag(c)
	return c
}

func (o *createKubeconfig) completeServiceAccounts(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeNames(c, func(ctx context.Context) (runtime.Object, error) {
		kube, err := o.kube()
		if err != nil {
			return nil, err
		}
		return kube.CoreV1().ServiceAccounts(accountNamespace(args[0])).List(ctx, metav1.ListOptions{})
	})
}

func (o *createKubeconfig) check() error {
	if err := checkAccountName(o.account); err != nil {
		return err
	}
	if o.node == "" && o.serviceAccount == "" {
		return usagef("specify for whom the kubeconfig is: --service-account NAME, or --node ADDRESS")
	}
	if o.node != "" {
		address, err := nodeidentity.ParseAddress(o.node)
		if err != nil {
			return usagef("--node: %v", err)
		}
		o.serviceAccount = nodeidentity.AccountName(address)
	}
	if len(validation.IsDNS1123Subdomain(o.serviceAccount)) > 0 {
		return usagef("--service-account %q is not a valid name of a service account: use lowercase letters, digits and dashes, without the namespace", shortened(o.serviceAccount))
	}
	return o.checkOutput()
}

// checkOutput validates the lifetime of the token, and returns an error if the file
// already exists and must not be overwritten.
func (o *createKubeconfig) checkOutput() error {
	if o.duration != 0 && o.duration < shortestToken {
		return usagef("--duration %s is too short: use %s or more", o.duration, shortestToken)
	}
	if o.file == "" || o.overwrite {
		return nil
	}
	if _, err := os.Lstat(o.file); err == nil {
		return usagef("the file %s already exists: choose another name, or replace it with --overwrite", o.file)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (o *createKubeconfig) run(ctx context.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	what := "serviceaccount/" + o.serviceAccount
	if o.dryRun == dryRunClient {
		o.note("%s %s%s, if it does not exist; no token is requested", what, created, o.dryRun.suffix())
		if o.node != "" {
			o.note("rolebinding/%s with it%s", nodeClientRole, o.dryRun.suffix())
		}
		return nil
	}
	kube, epic, err := o.clients()
	if err != nil {
		return err
	}
	around, err := lookInCluster(kube, "use the kubeconfig that it wrote for its administrator (epic-apiserver --kubeconfig-out), or for a node what \"epic-apiserver node-kubeconfig\" writes")
	if err != nil {
		return err
	}
	if err := o.checkAccount(ctx, epic); err != nil {
		return err
	}
	result, err := o.ensureServiceAccount(ctx, kube)
	if err != nil {
		return err
	}
	o.note("%s %s%s", what, result, o.dryRun.suffix())
	if err := o.bindNode(ctx, kube, around); err != nil {
		return err
	}
	if o.dryRun != dryRunNone {
		return nil
	}
	o.warnWithoutRights(ctx, kube, around)
	data, _, err := o.kubeconfig(ctx, kube)
	if err != nil {
		return err
	}
	if err := o.deliver(data); err != nil || o.file == "" {
		return err
	}
	if o.node != "" {
		o.next("Copy it to the client node over a secure channel, and start the node program with it:\n"+
			"  epic-node client --kubeconfig=%s --namespace=%s --node-address=%s\n"+
			"docs/install.md describes how to do that for all nodes of a cluster.", o.file, accountNamespace(o.account), o.node)
		return nil
	}
	o.next("Send it to the tenant over a secure channel. To see which groups they may use, they run\n  kubectl --kubeconfig=%s get lbservicegroups -n %s", o.file, accountNamespace(o.account))
	return nil
}

// checkAccount returns an error if the account does not exist.
func (o *createKubeconfig) checkAccount(ctx context.Context, epic versioned.Interface) error {
	_, err := getAccount(ctx, epic, o.account)
	if apierrors.IsNotFound(err) && !notServed(err) {
		return fmt.Errorf("account %s does not exist: create it first with \"epicctl create account %s\"", o.account, o.account)
	}
	return err
}

func (o *createKubeconfig) ensureServiceAccount(ctx context.Context, kube kubernetes.Interface) (outcome, error) {
	ns := accountNamespace(o.account)
	client := kube.CoreV1().ServiceAccounts(ns)
	_, err := client.Get(ctx, o.serviceAccount, metav1.GetOptions{})
	if err == nil {
		return unchanged, nil
	}
	if !apierrors.IsNotFound(err) {
		return "", right{"get", "serviceaccounts", ns}.explain(err)
	}
	_, err = client.Create(ctx, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: o.serviceAccount, Labels: copied(bindingLabels)},
	}, metav1.CreateOptions{FieldManager: fieldManager, DryRun: o.dryRun.options()})
	if apierrors.IsAlreadyExists(err) {
		return unchanged, nil
	}
	return created, right{"create", "serviceaccounts", ns}.explain(err)
}

// bindNode grants a node's service account the permissions of a client node.
func (o *createKubeconfig) bindNode(ctx context.Context, kube kubernetes.Interface, around surroundings) error {
	if o.node == "" || !around.rbac {
		return nil
	}
	ns := accountNamespace(o.account)
	ensure := &createAccount{tool: o.tool, kubeClient: kube, dryRun: o.dryRun}
	result, _, err := ensure.ensureBinding(ctx, newBinding(ns, nodeClientRole, []rbacv1.Subject{
		{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: o.serviceAccount},
	}))
	if err != nil {
		return err
	}
	o.note("rolebinding/%s %s%s", nodeClientRole, result, o.dryRun.suffix())
	return nil
}

// warnWithoutRights prints a warning if the service account has no permissions.
func (o *createKubeconfig) warnWithoutRights(ctx context.Context, kube kubernetes.Interface, around surroundings) {
	if !around.rbac {
		return
	}
	ns := accountNamespace(o.account)
	list, err := kube.RbacV1().RoleBindings(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		// Without the permission to check, there is no warning.
		return
	}
	for _, b := range list.Items {
		for _, s := range b.Subjects {
			if s.Kind == rbacv1.ServiceAccountKind && s.Name == o.serviceAccount && (s.Namespace == ns || s.Namespace == "") {
				return
			}
			if s.Kind == rbacv1.GroupKind && (s.Name == "system:serviceaccounts:"+ns || s.Name == "system:serviceaccounts") {
				return
			}
		}
	}
	o.note("Warning: no role is bound to it in namespace %s: run \"epicctl create account %s --service-account %s/%s\" to grant it access.", ns, o.account, ns, o.serviceAccount)
}

// kubeconfig returns a kubeconfig with a new token, and the expiration of the token.
func (o *createKubeconfig) kubeconfig(ctx context.Context, kube kubernetes.Interface) (data []byte, expires time.Time, err error) {
	ns := accountNamespace(o.account)
	request := &authenticationv1.TokenRequest{}
	if o.duration != 0 {
		request.Spec.ExpirationSeconds = ptr.To(int64(o.duration.Seconds()))
	}
	answer, err := kube.CoreV1().ServiceAccounts(ns).CreateToken(ctx, o.serviceAccount, request, metav1.CreateOptions{})
	if err != nil {
		return nil, expires, right{"create", "serviceaccounts/token", ns}.explain(err)
	}
	if expires = answer.Status.ExpirationTimestamp.Time; !expires.IsZero() {
		o.note("the token is valid until %s", expires.UTC().Format(time.RFC3339))
		// Allow a minute for clock differences.
		if o.duration != 0 && time.Until(expires) < o.duration-time.Minute {
			o.note("Warning: this is less than requested, because the server limits the duration.")
		}
	}
	config, err := o.config()
	if err != nil {
		return nil, expires, err
	}
	cluster, err := clusterOf(config)
	if err != nil {
		return nil, expires, err
	}
	out := clientcmdapi.NewConfig()
	name := ns + "-" + o.serviceAccount
	out.Clusters["epic"] = cluster
	out.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: answer.Status.Token}
	out.Contexts[name] = &clientcmdapi.Context{Cluster: "epic", AuthInfo: name, Namespace: ns}
	out.CurrentContext = name
	data, err = clientcmd.Write(*out)
	return data, expires, err
}

// deliver writes data with a credential to the file, or prints it.
func (o *createKubeconfig) deliver(data []byte) error {
	if o.file == "" {
		_, err := o.Out.Write(data)
		return err
	}
	if err := writeSecret(o.file, data, o.overwrite); err != nil {
		return err
	}
	o.note("written to %s", o.file)
	return nil
}

// clusterOf returns how to reach the server, without credentials.
func clusterOf(config *rest.Config) (*clientcmdapi.Cluster, error) {
	// Use the address with its scheme, which is ambiguous in a host and port.
	url, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	url.RawQuery, url.User = "", nil
	cluster := &clientcmdapi.Cluster{
		Server:                   url.String(),
		TLSServerName:            config.ServerName,
		InsecureSkipTLSVerify:    config.Insecure,
		CertificateAuthorityData: config.CAData,
		DisableCompression:       config.DisableCompression,
	}
	if len(config.CAData) == 0 && config.CAFile != "" {
		// A path is not valid on the machine for which the file is.
		if cluster.CertificateAuthorityData, err = os.ReadFile(config.CAFile); err != nil {
			return nil, fmt.Errorf("the certificate authority of your kubeconfig can't be read: %w", err)
		}
	}
	return cluster, nil
}

// writeSecret atomically writes a file that only its owner can read.
func writeSecret(path string, data []byte, overwrite bool) (err error) {
	if overwrite {
		// The existing file stays until its replacement is complete. Temporary files are
		// only readable by their owner.
		f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
		if err != nil {
			return err
		}
		defer os.Remove(f.Name()) //nolint:errcheck // it only exists after a failure
		_, err = f.Write(data)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		return os.Rename(f.Name(), path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, onlyOwner)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
