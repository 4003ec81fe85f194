// SPDX-License-Identifier: Apache-2.0

// Package plugin is the chained CNI plugin, which the container runtime starts for every
// pod of a node. It returns immediately for pods in other namespaces; for all others, it
// asks the node program what to do and does it.
//
// It supports versions 0.3.0 to 1.1.0 of the CNI specification: older ones have no chains,
// and common networks still use 0.3.1.
package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/vishvananda/netns"

	"github.com/acnodal/epic/pkg/node/cni/podnet"
	"github.com/acnodal/epic/pkg/node/cni/wire"
)

// Type is the plugin's name: that of its file, and the type in configurations.
const Type = "epic-cni"

const (
	// DefaultPrefix is the prefix of namespaces that may contain proxies.
	DefaultPrefix = "epic-"
	// DefaultTimeout limits a request to the node program. A kubelet only gives up after
	// minutes.
	DefaultTimeout = 20 * time.Second
)

// Config is the plugin's part of a network configuration.
type Config struct {
	CNIVersion string `json:"cniVersion,omitempty"`
	Name       string `json:"name,omitempty"`
	Type       string `json:"type"`
	// Socket is the socket of the node program.
	Socket string `json:"socket,omitempty"`
	// NamespacePrefix is the prefix of namespaces that may contain proxies.
	NamespacePrefix string `json:"namespacePrefix,omitempty"`
	// IgnoreNamespaces are namespaces with that prefix and no proxies: those of EPIC's
	// own programs, which must start without the node program.
	IgnoreNamespaces []string `json:"ignoreNamespaces,omitempty"`
	// TimeoutSeconds limits a request to the node program.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`

	PrevResult json.RawMessage      `json:"prevResult,omitempty"`
	Valid      []types.GCAttachment `json:"cni.dev/valid-attachments,omitempty"`
}

// Main runs the plugin as started by the runtime, with input from the environment and
// standard input, and returns the exit code.
func Main() int {
	p := &plugin{out: os.Stdout}
	err := skel.PluginMainFuncsWithError(skel.CNIFuncs{
		Add: p.add, Del: p.del, Check: p.check, GC: p.gc, Status: p.status,
	}, version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"), "EPIC's CNI plugin "+Type+": it gives proxies their public addresses")
	if err == nil {
		return 0
	}
	if e := err.Print(); e != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

type plugin struct{ out io.Writer }

// call is one invocation.
type call struct {
	Config
	args    *skel.CmdArgs
	request wire.Request
	client  wire.Client
	worker  podnet.Worker
}

// parse reads the configuration and the pod's identity. It returns false for pods that
// can't be proxies.
func parse(args *skel.CmdArgs) (*call, bool, error) {
	c := &call{args: args, worker: podnet.Worker{Host: netns.None()}}
	if err := json.Unmarshal(args.StdinData, &c.Config); err != nil {
		return nil, false, types.NewError(types.ErrDecodingFailure, "cannot decode the network configuration", err.Error())
	}
	if c.Socket == "" {
		c.Socket = wire.DefaultSocket
	}
	if c.NamespacePrefix == "" {
		c.NamespacePrefix = DefaultPrefix
	}
	timeout := DefaultTimeout
	if c.TimeoutSeconds > 0 {
		timeout = time.Duration(c.TimeoutSeconds) * time.Second
	}
	c.client = wire.Client{Socket: c.Socket, Timeout: timeout}
	c.request = wire.Request{
		Attachment: wire.Attachment{Network: c.Name, Container: args.ContainerID, Interface: args.IfName},
		Netns:      args.Netns,
	}
	for pair := range strings.SplitSeq(args.Args, ";") {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "K8S_POD_NAMESPACE":
			c.request.PodNamespace = value
		case "K8S_POD_NAME":
			c.request.PodName = value
		case "K8S_POD_UID":
			c.request.PodUID = value
		}
	}
	ns := c.request.PodNamespace
	return c, strings.HasPrefix(ns, c.NamespacePrefix) && !slices.Contains(c.IgnoreNamespaces, ns), nil
}

// fail converts an error to one of the CNI specification.
func fail(err error) error {
	if err == nil {
		return nil
	}
	var e *types.Error
	if errors.As(err, &e) {
		return e
	}
	if wire.Retryable(err) {
		return types.NewError(types.ErrTryAgainLater, "epic-cni: "+err.Error(), "")
	}
	return types.NewError(types.ErrInternal, "epic-cni: "+err.Error(), "")
}

func (p *plugin) add(args *skel.CmdArgs) error {
	c, candidate, err := parse(args)
	if err != nil {
		return err
	}
	if len(c.PrevResult) == 0 {
		return types.NewError(types.ErrInvalidNetworkConfig, Type+" must come after another plugin", "move it to the end of the list of plugins")
	}
	if !candidate {
		return p.passThrough(c)
	}
	ctx := context.Background()
	var answer wire.Answer
	if err := c.client.Call(ctx, wire.PathPlan, c.request, &answer); err != nil {
		return fail(err)
	}
	plan := answer.Plan
	if plan == nil {
		return p.passThrough(c)
	}
	index, err := c.worker.Attach(args.Netns, args.IfName, plan)
	if err != nil {
		return fail(err)
	}
	c.request.HostIndex, c.request.Plan = index, plan
	if c.request.NetnsID, err = podnet.NetnsID(args.Netns); err == nil {
		err = c.client.Call(ctx, wire.PathAttached, c.request, &struct{}{})
	}
	var result types.Result
	if err == nil {
		result, err = c.result(plan)
	}
	if err != nil {
		err = errors.Join(err, c.takeDown(ctx))
		return fail(err)
	}
	return types.PrintResult(result, c.CNIVersion)
}

// passThrough prints the result of the previous plugin, byte for byte.
func (p *plugin) passThrough(c *call) error {
	_, err := p.out.Write(c.PrevResult)
	return err
}

// result adds the created interfaces to the result of the previous plugin.
func (c *call) result(plan *wire.Plan) (types.Result, error) {
	conf := &types.PluginConf{}
	if err := json.Unmarshal(c.args.StdinData, conf); err != nil {
		return nil, err
	}
	if err := version.ParsePrevResult(conf); err != nil {
		return nil, fmt.Errorf("read the result of the previous plugin: %w", err)
	}
	result, err := types100.NewResultFromResult(conf.PrevResult)
	if err != nil {
		return nil, fmt.Errorf("read the result of the previous plugin: %w", err)
	}
	if slices.ContainsFunc(result.Interfaces, func(i *types100.Interface) bool { return i.Name == plan.Name && i.Sandbox == c.args.Netns }) {
		return result, nil
	}
	result.Interfaces = append(result.Interfaces,
		&types100.Interface{Name: plan.Host, Mac: plan.HostMAC.String(), Mtu: plan.MTU},
		&types100.Interface{Name: plan.Name, Mac: plan.MAC.String(), Mtu: plan.MTU, Sandbox: c.args.Netns},
	)
	at := len(result.Interfaces) - 1
	for _, a := range plan.Addresses {
		result.IPs = append(result.IPs, &types100.IPConfig{Interface: types100.Int(at), Address: podnet.Single(a)})
	}
	return result, nil
}

// takeDown informs the node program, so it does not repair the attachment, and removes
// everything regardless of its response.
func (c *call) takeDown(ctx context.Context) error {
	short := c.client
	short.Timeout = min(short.Timeout, 3*time.Second)
	told := short.Call(ctx, wire.PathDetach, c.request, &struct{}{})
	if err := c.worker.Detach(c.args.Netns, c.request.Attachment); err != nil {
		return errors.Join(told, err)
	}
	return nil
}

// del succeeds whenever possible: the runtime repeats it until it does. If the node
// program is not informed, it detects the removal itself.
func (p *plugin) del(args *skel.CmdArgs) error {
	c, candidate, err := parse(args)
	if err != nil {
		return err
	}
	if !candidate {
		return nil
	}
	return fail(c.takeDown(context.Background()))
}

func (p *plugin) check(args *skel.CmdArgs) error {
	c, candidate, err := parse(args)
	if err != nil || !candidate {
		return err
	}
	var answer wire.Answer
	if err := c.client.Call(context.Background(), wire.PathCheck, c.request, &answer); err != nil {
		return fail(err)
	}
	if answer.Plan == nil {
		return nil
	}
	return fail(c.worker.Check(args.Netns, args.IfName, answer.Plan))
}

// gc removes attachments that the runtime no longer knows, whether the node program runs
// or not.
func (p *plugin) gc(args *skel.CmdArgs) error {
	c, _, err := parse(args)
	if err != nil {
		return err
	}
	list := wire.GC{Network: c.Name}
	for _, v := range c.Valid {
		list.Valid = append(list.Valid, wire.Attachment{Network: c.Name, Container: v.ContainerID, Interface: v.IfName})
	}
	told := c.client.Call(context.Background(), wire.PathGC, list, &struct{}{})
	if wire.Retryable(told) {
		told = nil
	}
	_, err = c.worker.Collect(c.Name, list.Valid)
	return fail(errors.Join(told, err))
}

// status reports that pods can be started, even without the node program: only proxies
// have to wait for it, and the node must not become unready for that.
func (p *plugin) status(args *skel.CmdArgs) error {
	_, _, err := parse(args)
	return err
}
