// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/cli/observe"
	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node"
	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/pkg/node/underlay"
)

// options holds the flags that both roles share.
type options struct {
	kubeconfig     string
	nodeAddresses  []string
	localAddresses map[string]string
	interfaces     []string
	nodeName       string
	port           uint16
	pinPath        string
	stateDir       string
	statusSocket   string
	metricsAddress string
	secureMetrics  observe.Secure
	tunnelMetrics  bool
	maxTunnels     uint32
	maxServices    uint32
	xdp            string
	hook           string
	cookies        string
}

func (o *options) add(fs *pflag.FlagSet, role string) {
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "File with the API's address and this node's credentials. It is read again when it changes. Default: the credentials of the pod in which the program runs.")
	fs.StringSliceVar(&o.nodeAddresses, "node-address", nil, "The node's address in the API. Default: the source address of the default route."+several(role))
	fs.StringToStringVar(&o.localAddresses, "local-address", nil, "NODE=LOCAL: the node's address in the API is NODE, which a NAT in front of the node translates to its own address LOCAL.")
	fs.StringSliceVar(&o.interfaces, "interface", nil, "Interfaces that carry tunnels. A missing interface is used when it appears. Default: those with the node's address or a default route"+nics(role)+".")
	fs.StringVar(&o.nodeName, "node-name", "", "The name of this node. Default: the hostname.")
	fs.Uint16Var(&o.port, "port", dataplane.DefaultPort, "UDP port for tunnels on this node"+ports(role)+".")
	fs.StringVar(&o.pinPath, "pin-path", dataplane.DefaultPinPath, "Directory in a bpffs where maps and programs are pinned.")
	fs.StringVar(&o.stateDir, "state-dir", "/var/lib/epic-node", "Directory for the last state, with the tunnels' keys, which only root can read.")
	fs.StringVar(&o.statusSocket, "status-socket", status.DefaultSocket, "Unix socket for the commands status and trace, which only root can use.")
	fs.StringVar(&o.metricsAddress, "metrics-bind-address", "127.0.0.1:9606", "Address on which to serve /healthz and /readyz, and /metrics unless --secure-metrics-address is set; empty to disable.")
	o.secureMetrics.AddFlags(fs)
	fs.BoolVar(&o.tunnelMetrics, "tunnel-metrics", true, "Export metrics of each tunnel.")
	fs.Uint32Var(&o.maxTunnels, "max-tunnels", dataplane.DefaultMaxTunnels, "Maximum number of tunnels. Others are reported as problems and not programmed.")
	fs.Uint32Var(&o.maxServices, "max-services", dataplane.DefaultMaxServices, "Maximum number of endpoints of tunnels.")
	fs.StringVar(&o.xdp, "xdp", "auto", "Whether XDP decapsulates packets: auto, native or off.")
	fs.StringVar(&o.cookies, "cookies", "auto", "Whether data packets carry a cookie that only the ends of a tunnel know: auto, in each tunnel as soon as both ends support it; required, which drops packets without one from the start; or off, like versions without cookies.")
	fs.StringVar(&o.hook, "hook", "auto", "How programs are attached: auto, tcx or clsact.")
}

func several(role string) string {
	if role == clientRole {
		return " May be given several times."
	}
	return ""
}

func nics(role string) string {
	if role == gatewayRole {
		return ", and EPIC's gue-ingress-nics"
	}
	return ""
}

func ports(role string) string {
	if role == gatewayRole {
		return ", the same as EPIC's epic-port"
	}
	return ""
}

const (
	gatewayRole = "gateway"
	clientRole  = "client"
)

// config validates the flags that do not depend on the role.
func (o *options) config() (node.Config, error) {
	c := node.Config{
		Kernel: underlay.Netlink{}, Interfaces: o.interfaces, Port: o.port, StateDir: o.stateDir,
		Version: buildinfo.Release(), StatusSocket: o.statusSocket, MetricsAddress: o.metricsAddress, TunnelMetrics: o.tunnelMetrics,
		Local: map[netip.Addr]netip.Addr{}, Name: o.nodeName, Cookies: cookiePolicies[o.cookies],
	}
	var errs []error
	if o.port == 0 {
		errs = append(errs, errors.New("--port is 0: set a port from 1 to 65535"))
	}
	for _, text := range o.nodeAddresses {
		a, err := address("--node-address", text)
		errs = append(errs, err)
		if err == nil && !slices.Contains(c.Nodes, a) {
			c.Nodes = append(c.Nodes, a)
		}
	}
	for outside, inside := range o.localAddresses {
		a, err := address("--local-address", outside)
		b, e := address("--local-address", inside)
		errs = append(errs, err, e)
		if err == nil && e == nil && a.Is4() != b.Is4() {
			errs = append(errs, fmt.Errorf("--local-address: %s and %s are of different address families", a, b))
		}
		c.Local[a] = b
	}
	errs = append(errs, o.secureMetrics.Validate())
	if o.secureMetrics.Enabled() {
		c.SecureMetrics = o.secureMetrics.Serve
	}
	if o.metricsAddress != "" {
		if _, _, err := net.SplitHostPort(o.metricsAddress); err != nil {
			errs = append(errs, fmt.Errorf("--metrics-bind-address: %w: set an address and a port, such as 127.0.0.1:9606", err))
		}
	}
	for _, choice := range []struct {
		flag, value string
		allowed     []string
	}{{"--xdp", o.xdp, []string{"auto", "native", "off"}}, {"--hook", o.hook, []string{"auto", "tcx", "clsact"}}, {"--cookies", o.cookies, []string{"auto", "required", "off"}}} {
		if !slices.Contains(choice.allowed, choice.value) {
			errs = append(errs, fmt.Errorf("%s is %q: set one of %v", choice.flag, choice.value, choice.allowed))
		}
	}
	if c.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			errs = append(errs, fmt.Errorf("read the hostname: %w: set --node-name", err))
		}
		c.Name = name
	}
	if err := errors.Join(errs...); err != nil {
		return c, err
	}
	if len(c.Nodes) == 0 {
		a, err := ownAddress(c.Kernel)
		if err != nil {
			return c, err
		}
		c.Nodes = []netip.Addr{a}
	}
	return c, nil
}

// reach adds the client configuration of the API.
func (o *options) reach(c *node.Config) (*rest.Config, error) {
	rc, access, err := o.restConfig()
	if err != nil {
		return nil, err
	}
	c.Access = access
	return rc, connect(c, rc)
}

// connect creates the client of the API, and tracks whether the API responds to it.
func connect(c *node.Config, rc *rest.Config) (err error) {
	c.Reach = &node.Reach{}
	rc.Wrap(c.Reach.Wrap)
	c.Client, err = versioned.NewForConfig(rc)
	return err
}

func address(flag, text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		return a, fmt.Errorf("%s: %q is not the IP address of a host", flag, text)
	}
	return a.Unmap(), nil
}

// ownAddress returns the source address of the default route. Nothing is sent to the
// addresses, which RFC 5737 and RFC 3849 reserve for documentation.
func ownAddress(kernel underlay.Kernel) (netip.Addr, error) {
	for _, far := range []string{"198.51.100.1", "2001:db8::1"} {
		if _, source, err := kernel.Route(netip.MustParseAddr(far)); err == nil && source.IsValid() {
			return source, nil
		}
	}
	return netip.Addr{}, errors.New("this node has no default route that determines its address: set --node-address")
}

// plane returns the options of the data plane.
func (o *options) plane(role dataplane.Role) dataplane.Options {
	return dataplane.Options{
		Role: role, Port: o.port, PinPath: o.pinPath, MaxTunnels: o.maxTunnels, MaxServices: o.maxServices,
		Hook: dataplane.Hook(auto(o.hook)), XDP: dataplane.XDP(auto(o.xdp)),
		RequireCookies: cookiePolicies[o.cookies] == gue.CookiesRequired,
	}
}

var cookiePolicies = map[string]gue.CookiePolicy{"auto": gue.CookiesAuto, "required": gue.CookiesRequired, "off": gue.CookiesOff}

func auto(s string) string {
	if s == "auto" {
		return ""
	}
	return s
}

const (
	minPing = time.Second
	maxPing = 2 * time.Minute
)
