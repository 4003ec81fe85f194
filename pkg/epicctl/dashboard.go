// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/dashboard"
	"github.com/acnodal/epic/pkg/dashboard/live"
	"github.com/acnodal/epic/pkg/dashboard/rates"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/overview"
)

// dashboardCommand serves the overview as web pages.
type dashboardCommand struct {
	*tool
	accounts   []string
	port       int
	prometheus string
	// listening is called with the address; tests set it.
	listening func(url string)
}

func newDashboard(t *tool) *cobra.Command {
	o := &dashboardCommand{tool: t}
	o.listening = o.announce
	c := &cobra.Command{
		Use:   "dashboard [flags]",
		Short: "Serve a dashboard to your browser",
		Long: "Serve a dashboard on 127.0.0.1 until you press Ctrl-C. It shows each account with its\n" +
			"proxies, the path of requests from the public address through pods and tunnels to the\n" +
			"endpoints, and for each problem the reason and what to do. Pages update as soon as\n" +
			"objects change.\n\n" +
			"The dashboard uses the permissions of your kubeconfig: a platform administrator sees\n" +
			"everything, and a tenant sees the account that --account, -n or the kubeconfig's context\n" +
			"specifies. Anyone who has the printed address can see what you can see, so do not share\n" +
			"it. It changes with each start.\n\n" +
			"With --prometheus, it shows rates and round trips. Specify NAMESPACE/SERVICE:PORT of a\n" +
			"Prometheus in the cluster, which is queried through the kube-apiserver, or the URL of a\n" +
			"Prometheus on this machine.",
		Example: "  epicctl dashboard\n" +
			"  epicctl dashboard --account acme\n" +
			"  epicctl dashboard --prometheus monitoring/prometheus-operated:9090",
		Args:              exactly(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			// The pages show failed requests, so keep the terminal quiet.
			klog.LogToStderr(false)
			klog.SetOutput(io.Discard)
			return o.run(c.Context())
		},
	}
	c.Flags().StringSliceVar(&o.accounts, "account", nil, "Show only these accounts. Default: all accounts, or the account of the namespace if you may not list all accounts.")
	c.Flags().IntVar(&o.port, "port", 0, "The port to listen on; 0 chooses a free one.")
	c.Flags().StringVar(&o.prometheus, "prometheus", "", "The Prometheus to read rates and round trips from: NAMESPACE/SERVICE:PORT in the cluster, or http://127.0.0.1:PORT.")
	must(c.RegisterFlagCompletionFunc("account", completeAccounts(t, true)))
	must(c.RegisterFlagCompletionFunc("port", cobra.NoFileCompletions))
	must(c.RegisterFlagCompletionFunc("prometheus", cobra.NoFileCompletions))
	return c
}

// announce prints the address of the dashboard.
func (o *dashboardCommand) announce(url string) {
	fmt.Fprintf(o.Out, "The dashboard is served until you press Ctrl-C. Open this address in a browser on this machine:\n\n  %s\n\n", url)
}

func (o *dashboardCommand) run(ctx context.Context) error {
	for _, account := range o.accounts {
		if err := checkAccountName(account); err != nil {
			return err
		}
	}
	if o.port < 0 || o.port > 65535 {
		return usagef("--port %d is not a port: set one from 1 to 65535, or leave it out", o.port)
	}
	source, err := rates.ParseSource(o.prometheus)
	if err != nil {
		return &usageError{err}
	}
	s, err := newSurvey(o.tool)
	if err != nil {
		return err
	}
	config, err := o.config()
	if err != nil {
		return err
	}
	around, err := look(s.kubeClient)
	if deniedByRBAC(err) {
		// Failed requests show what else is missing.
		around, err = surroundings{namespaces: true, rbac: true}, nil
	}
	if err != nil {
		return explain(err)
	}
	namespaces, err := o.scope(ctx, s)
	if err != nil {
		return err
	}
	watching, err := o.watching(config)
	if err != nil {
		return err
	}
	feed := live.New(o.feedOptions(s, watching, around, namespaces))
	options := dashboard.Options{Feed: feed, Server: config.Host, Accounts: accountsOf(namespaces), Port: o.port}
	if source != nil {
		var proxied kubernetes.Interface
		if !around.standalone() {
			proxied = s.kubeClient
		}
		if options.Rates, err = rates.New(ctx, source, proxied, feed.Touch); err != nil {
			return err
		}
	}
	server, err := dashboard.Listen(ctx, options)
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group.Go(func() { feed.Run(ctx) })
	o.listening(server.URL())
	return server.Serve(ctx)
}

// watching returns clients without a request timeout, which would end watches.
func (o *dashboardCommand) watching(config *rest.Config) (*survey, error) {
	config = rest.CopyConfig(config)
	config.Timeout = 0
	kubeClient, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	epicClient, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &survey{tool: o.tool, kubeClient: kubeClient, epicClient: epicClient}, nil
}

// feedOptions returns the sources of the pages: watches use the clients of watching, and
// everything else those of s.
func (o *dashboardCommand) feedOptions(s, watching *survey, around surroundings, namespaces []string) live.Options {
	options := live.Options{
		Epic: watching.epicClient, Namespaces: namespaces,
		Contact: func(ctx context.Context) error {
			// Every authenticated user may read this; a denial is also a response.
			err := s.epicClient.Discovery().RESTClient().Get().AbsPath("/apis/" + v1.SchemeGroupVersion.String()).Do(ctx).Error()
			if apierrors.IsForbidden(err) {
				return nil
			}
			return explain(err)
		},
		Explain: func(verb, resource, namespace string, err error) overview.Unread {
			return *right{verb, resource, namespace}.unread(err)
		},
	}
	if !around.standalone() {
		options.Kube = watching.kubeClient
	}
	if len(namespaces) == 0 {
		options.Survey = func(ctx context.Context) *overview.Installation {
			i, _ := s.programs(ctx)
			return i
		}
		options.Audit = s.claims
	}
	return options
}

// scope returns the namespaces to show: those that the user names, all if the user may
// list all accounts, or otherwise the one of the kubeconfig's context.
func (o *dashboardCommand) scope(ctx context.Context, s *survey) ([]string, error) {
	if len(o.accounts) > 0 {
		var out []string
		for _, account := range o.accounts {
			if ns := accountNamespace(account); !slices.Contains(out, ns) {
				out = append(out, ns)
			}
		}
		return out, nil
	}
	ns := o.namespace()
	if ns == "" {
		_, err := s.epicClient.EpicV1().Accounts("").List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil {
			return nil, nil
		}
		if !deniedByRBAC(err) {
			return nil, right{verb: "list", resource: "accounts." + v1.GroupName}.explain(err)
		}
		if ns, _, err = o.flags.ToRawKubeConfigLoader().Namespace(); err != nil {
			return nil, err
		}
	}
	switch {
	case strings.HasPrefix(ns, epic.AccountNamespacePrefix):
		return []string{ns}, nil
	case o.namespace() != "":
		return nil, usagef("the namespace %s does not belong to an account: set --account", ns)
	}
	return nil, fmt.Errorf("you may not list all accounts, and the namespace %s does not belong to an account: set your account with --account", ns)
}

// accountsOf returns the names of the accounts of namespaces.
func accountsOf(namespaces []string) []string {
	var out []string
	for _, ns := range namespaces {
		out = append(out, strings.TrimPrefix(ns, epic.AccountNamespacePrefix))
	}
	return out
}
