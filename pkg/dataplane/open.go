// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/bpf"
)

// DataPlane is the data plane of one node. Its methods may be called concurrently; those
// that attach programs do so in the network namespace of the caller's thread.
type DataPlane struct {
	// mu serializes changes.
	mu       sync.Mutex
	options  Options
	lock     *os.File
	objects  bpf.KernelObjects
	maps     []*pinnedMap
	attacher *attacher
	tunnels  *tunnels
	services *services
	openings *openings
	directs  *directs
	// flows and fragments hold what programs have learned from packets of proxies.
	flows, fragments *byAddress
	proxies          *proxies
	underlay         *underlay
	traces           traces
	// generation informs programs of changes.
	generation generation
}

var (
	_ Repairer = (*DataPlane)(nil)
	_ Observer = (*DataPlane)(nil)
)

// Open loads the programs, and takes over what an earlier process has pinned: maps are
// kept, and attached programs are replaced without a gap. ErrInUse indicates that another
// process has the data plane open.
func Open(options Options) (*DataPlane, error) {
	options, err := options.complete()
	if err != nil {
		return nil, fmt.Errorf("open the data plane: %w", err)
	}
	// Before Linux 5.11, maps count as locked memory.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise the limit of locked memory: %w", err)
	}
	d := &DataPlane{options: options}
	if err := d.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the data plane at %s: %w", options.PinPath, err), d.Close())
	}
	return d, nil
}

func (d *DataPlane) open() error {
	if err := d.takeLock(); err != nil {
		return err
	}
	spec, err := bpf.LoadKernel()
	if err != nil {
		return err
	}
	if err := d.configure(spec); err != nil {
		return err
	}
	if d.maps, err = openMaps(spec, d.options.PinPath, unusedMaps[d.options.Role]); err != nil {
		return err
	}
	replacements := map[string]*ebpf.Map{}
	for _, m := range d.maps {
		replacements[m.name] = m.m
	}
	if err := spec.LoadAndAssign(&d.objects, &ebpf.CollectionOptions{MapReplacements: replacements}); err != nil {
		return explainLoad(err)
	}
	programs := map[bpf.KernelHook]*ebpf.Program{
		bpf.KernelHookHOOK_UNDERLAY_INGRESS: d.objects.EpicDecap,
		bpf.KernelHookHOOK_UNDERLAY_XDP:     d.objects.EpicXdp,
	}
	var guardian *ebpf.Program
	if d.options.Role == RoleGateway {
		programs[bpf.KernelHookHOOK_PROXY_INGRESS] = d.objects.EpicGatewayEncap
	} else {
		programs[bpf.KernelHookHOOK_UNDERLAY_EGRESS] = d.objects.EpicClientEncap
		guardian = d.objects.EpicClientGuard
	}
	if d.attacher, err = newAttacher(d.options, filepath.Join(d.options.PinPath, "links"), programs, &d.objects.KernelMaps); err != nil {
		return err
	}
	d.attacher.guard.program = guardian
	d.underlay = &underlay{mu: &d.mu, options: d.options, attacher: d.attacher, uplink: d.objects.Uplink}
	// The programs need all of this before they run.
	if err := d.underlay.setUplink(); err != nil {
		return err
	}
	if d.tunnels, err = newTunnels(&d.mu, d.options, &d.objects.KernelMaps); err != nil {
		return err
	}
	proxyTable, err := newTable[uint32, bpf.KernelProxy](d.objects.Proxies, "proxies")
	if err != nil {
		return err
	}
	if d.services, err = newServices(&d.mu, d.options.Role, &d.objects, proxyTable); err != nil {
		return err
	}
	d.generation = generation{variable: d.objects.Generation}
	d.tunnels.tunnels.kernel.changed, d.services.services.changed, d.services.policies.changed = d.generation.next, d.generation.next, d.generation.next
	if d.services.replies != nil {
		d.services.replies.table.changed = d.generation.next
	}
	if d.openings, err = newOpenings(&d.mu, d.options.Role, &d.objects.KernelMaps, proxyTable, d.objects.Lenient); err != nil {
		return err
	}
	if d.directs, err = newDirects(&d.mu, d.options.Role, &d.objects.KernelMaps); err != nil {
		return err
	}
	if d.flows, err = newFlows(d.options.Role, &d.objects.KernelMaps, spec, proxyTable); err != nil {
		return err
	}
	if d.fragments, err = newFragments(d.options.Role, &d.objects.KernelMaps, spec, proxyTable); err != nil {
		return err
	}
	d.proxies = newProxies(&d.mu, d.options.Role, proxyTable, d.services, d.openings, d.directs, []*byAddress{d.flows, d.fragments}, d.attacher)
	// Copy learned entries twice: the earlier programs add some until they are replaced.
	for _, adopt := range []func() error{d.adoptNoted, d.attacher.adopt, d.adoptNoted} {
		if err := adopt(); err != nil {
			return err
		}
	}
	if err := describe(d.options.PinPath, d.maps); err != nil {
		return err
	}
	for _, m := range d.maps {
		if err := m.replace(); err != nil {
			return err
		}
	}
	return nil
}

// takeLock creates the pin path and locks it until the process ends.
func (d *DataPlane) takeLock() error {
	if err := os.MkdirAll(d.options.PinPath, 0o700); err != nil {
		return err
	}
	if err := isBPFFS(d.options.PinPath); err != nil {
		return err
	}
	lock, err := os.Open(d.options.PinPath)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%w: stop it, or use another pin path", ErrInUse)
		}
		return fmt.Errorf("locking: %w", err)
	}
	d.lock = lock
	return nil
}

func isBPFFS(path string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return err
	}
	if int64(fs.Type) != unix.BPF_FS_MAGIC { //nolint:unconvert // narrower on other machines
		return errors.New("this is not in a bpffs: mount one with \"mount -t bpf bpf /sys/fs/bpf\"")
	}
	return nil
}

// configure sets sizes and constants before loading.
func (d *DataPlane) configure(spec *ebpf.CollectionSpec) error {
	spec.Maps[bpf.KernelMapTunnels].MaxEntries = d.options.MaxTunnels
	spec.Maps[bpf.KernelMapTunnelCounters].MaxEntries = d.options.MaxTunnels
	spec.Maps[bpf.KernelMapServices].MaxEntries = d.options.MaxServices
	spec.Maps[bpf.KernelMapPolicies].MaxEntries = d.options.MaxServices
	spec.Maps[bpf.KernelMapReplies].MaxEntries = 2 * d.options.MaxServices
	spec.Maps[bpf.KernelMapPublishedPorts].MaxEntries = MaxOpenings
	spec.Maps[bpf.KernelMapDirect].MaxEntries = MaxDirects
	spec.Maps[bpf.KernelMapFlows].MaxEntries = d.options.MaxFlows
	spec.Maps[bpf.KernelMapProxyFlows].InnerMap.MaxEntries = d.options.MaxProxyFlows
	for _, name := range unusedMaps[d.options.Role] {
		spec.Maps[name].MaxEntries = 1 // several entries would use memory
	}
	var gateway uint8
	if d.options.Role == RoleGateway {
		gateway = 1
	}
	if err := spec.Variables[bpf.KernelVarGateway].Set(gateway); err != nil {
		return err
	}
	return spec.Variables[bpf.KernelVarPort].Set(big(d.options.Port))
}

// adoptNoted copies the entries that programs of an earlier version learned.
func (d *DataPlane) adoptNoted() error {
	for _, n := range d.proxies.noted {
		if err := n.adopt(d.maps); err != nil {
			return err
		}
	}
	return nil
}

// unusedMaps lists the maps that nodes of a role do not use.
var unusedMaps = map[Role][]string{
	RoleGateway: {bpf.KernelMapReplies, bpf.KernelMapFlows, bpf.KernelMapFragmented},
	RoleClient: {
		bpf.KernelMapServices, bpf.KernelMapProxies, bpf.KernelMapPublishedPorts, bpf.KernelMapDirect,
		bpf.KernelMapProxyFlows, bpf.KernelMapFlowCounts, bpf.KernelMapProxyFragments, bpf.KernelMapFragmentCounts,
	},
}

// explainLoad shortens the verifier's long error to one line; it indicates a bug in this
// package, or a kernel that is too old.
func explainLoad(err error) error {
	if verifier, ok := errors.AsType[*ebpf.VerifierError](err); ok {
		return fmt.Errorf("the kernel rejected a program: %w", verifier)
	}
	return err
}

// Tunnels returns the tunnels of this node.
func (d *DataPlane) Tunnels() Tunnels { return d.tunnels }

// Proxies returns the interfaces of the proxies on a gateway node.
func (d *DataPlane) Proxies() Proxies { return d.proxies }

// Services returns the endpoints that may be reached through tunnels.
func (d *DataPlane) Services() Services { return d.services }

// Openings returns the published ports of the proxies on a gateway node.
func (d *DataPlane) Openings() Openings { return d.openings }

// Directs returns the endpoints that proxies reach without a tunnel.
func (d *DataPlane) Directs() Directs { return d.directs }

// Underlay returns the interfaces through which tunnels reach the far ends.
func (d *DataPlane) Underlay() Underlay { return d.underlay }

// Options returns the options of the data plane, with defaults filled in.
func (d *DataPlane) Options() Options { return d.options }

// Repair implements Repairer.
func (d *DataPlane) Repair() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	repaired := 0
	// Repair attachments last: newly attached programs then find complete maps.
	for _, repair := range []func() (int, error){d.repairPins, d.tunnels.repair, d.services.repair, d.directs.repair, d.proxies.repair, d.flows.repair, d.fragments.repair, d.openings.repair, d.attacher.repair} {
		n, err := repair()
		repaired += n
		if err != nil {
			return repaired, fmt.Errorf("repair the data plane: %w", err)
		}
	}
	return repaired, nil
}

// repairPins pins maps again that were unpinned.
func (d *DataPlane) repairPins() (int, error) {
	repaired := 0
	for _, m := range d.maps {
		if _, err := os.Stat(m.path); err == nil {
			continue
		}
		clone, err := m.m.Clone() // which has no pin
		if err != nil {
			return repaired, err
		}
		if err := errors.Join(clone.Pin(m.path), clone.Close()); err != nil {
			return repaired, fmt.Errorf("pin map %s: %w", m.name, err)
		}
		repaired++
	}
	if _, err := os.Stat(filepath.Join(d.options.PinPath, layoutsName)); err == nil {
		return repaired, nil
	}
	return repaired + 1, describe(d.options.PinPath, d.maps)
}

// Close releases the resources of this process. Everything that is pinned keeps working.
func (d *DataPlane) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	errs := []error{d.traces.close()}
	if d.attacher != nil {
		errs = append(errs, d.attacher.close())
	}
	errs = append(errs, d.objects.Close(), closeMaps(d.maps))
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}

// Remove detaches all programs, deletes all pins, and closes the data plane.
func (d *DataPlane) Remove() error {
	d.mu.Lock()
	errs := []error{d.attacher.removeAll()}
	pins := []string{filepath.Join(d.options.PinPath, layoutsName)}
	for _, m := range d.maps {
		pins = append(pins, m.path)
	}
	for _, pin := range pins {
		if err := os.Remove(pin); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, dir := range []string{d.attacher.dir, d.options.PinPath} {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	d.mu.Unlock()
	if err := errors.Join(append(errs, d.Close())...); err != nil {
		return fmt.Errorf("remove the data plane at %s: %w", d.options.PinPath, err)
	}
	return nil
}
