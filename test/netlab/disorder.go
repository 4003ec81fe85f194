// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	detourName  = "detour"
	detourTable = 77
	// One packet in lateEvery is held until some others have overtaken it, or until its
	// time is up; one in twiceEvery is sent twice.
	lateEvery, overtakers = 7, 3
	lateFor               = 2 * time.Millisecond
	twiceEvery            = 11
)

// Disordered counts the packets that Disorder changed.
type Disordered struct{ Overtaken, Twice int }

// detour is an interface whose far end is this process, which sends packets back in
// another order.
type detour struct {
	file *os.File
	done chan struct{}

	mu     sync.Mutex
	seen   int
	late   []byte
	behind int
	timer  *time.Timer
	sum    Disordered
	err    error
}

// Disorder makes a router send packets that arrive by some interfaces out of order, and
// some of them twice. Restore ends that, and returns the numbers of such packets.
func (n *Namespace) Disorder(devices ...string) (restore func() (Disordered, error), err error) {
	d := &detour{done: make(chan struct{})}
	if err := n.Do(func() (err error) { d.file, err = openTUN(detourName); return err }); err != nil {
		return nil, fmt.Errorf("disorder: %w", err)
	}
	d.timer = time.AfterFunc(time.Hour, d.release)
	d.timer.Stop()
	link, err := n.LinkByName(detourName)
	if err == nil {
		// The sources of the packets that return by it are behind other interfaces.
		err = errors.Join(n.Sysctl("ipv4.conf."+detourName+".rp_filter", "0"), n.LinkSetMTU(link, 1500), n.LinkSetUp(link), n.turn(link, devices))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("disorder: %w", err), d.file.Close())
	}
	go d.run()
	return func() (Disordered, error) {
		err := n.straight(devices)
		// Packets on the detour still pass.
		time.Sleep(2 * lateFor)
		err = errors.Join(err, d.file.Close())
		<-d.done
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.sum, errors.Join(err, d.err)
	}, nil
}

func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a TUN interface: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

func detourRules(devices []string) []*netlink.Rule {
	var out []*netlink.Rule
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		for _, device := range devices {
			rule := netlink.NewRule()
			rule.Family, rule.IifName, rule.Table, rule.Priority = family, device, detourTable, 100
			out = append(out, rule)
		}
	}
	return out
}

// turn redirects packets from interfaces to the detour.
func (n *Namespace) turn(link netlink.Link, devices []string) error {
	var errs []error
	for _, all := range []string{"0.0.0.0/0", "::/0"} {
		_, dst, err := net.ParseCIDR(all)
		errs = append(errs, err, n.RouteReplace(&netlink.Route{Dst: dst, LinkIndex: link.Attrs().Index, Table: detourTable}))
	}
	for _, rule := range detourRules(devices) {
		errs = append(errs, n.RuleAdd(rule))
	}
	return errors.Join(errs...)
}

func (n *Namespace) straight(devices []string) error {
	var errs []error
	for _, rule := range detourRules(devices) {
		errs = append(errs, n.RuleDel(rule))
	}
	return errors.Join(errs...)
}

func (d *detour) run() {
	defer close(d.done)
	b := make([]byte, 1<<16)
	for {
		n, err := d.file.Read(b)
		if err != nil {
			d.release()
			return
		}
		d.pass(b[:n])
	}
}

func (d *detour) pass(packet []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen++
	if d.late == nil && d.seen%lateEvery == 0 {
		d.late, d.behind = append([]byte(nil), packet...), 0
		d.timer.Reset(lateFor)
		return
	}
	d.send(packet)
	if d.seen%twiceEvery == 0 {
		d.send(packet)
		d.sum.Twice++
	}
	if d.late == nil {
		return
	}
	if d.behind++; d.behind == overtakers {
		d.send(d.late)
		d.late = nil
		d.sum.Overtaken++
	}
}

// release sends the packets that have been held long enough.
func (d *detour) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.late == nil {
		return
	}
	d.send(d.late)
	d.late = nil
	if d.behind > 0 {
		d.sum.Overtaken++
	}
}

func (d *detour) send(packet []byte) {
	if _, err := d.file.Write(packet); err != nil && !errors.Is(err, os.ErrClosed) {
		d.err = fmt.Errorf("send a packet on: %w", err)
	}
}
