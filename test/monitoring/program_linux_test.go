// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"sync"
	"time"

	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/world"
)

// program is one of the site's. It is started again whenever it ends by itself, as the kubelet and
// systemd do it: on a busy machine a leader may lose its lease.
type program struct {
	name, binary string
	host         *netlab.Namespace
	args         []string
	log          string

	mu      sync.Mutex
	process *world.Process
	// asked is set while the program must be down.
	asked bool
}

// start starts a program of the site. All are ended with the test, the last one first.
func (s *site) start(name, binary string, host *netlab.Namespace, args ...string) {
	s.Helper()
	p := &program{name: name, binary: binary, host: host, args: args, log: s.in(name + ".log")}
	s.programs[name] = p
	s.order = append(s.order, p)
	s.must(p.run())
}

// again starts a program that was ended.
func (s *site) again(name string) {
	s.Helper()
	s.must(s.programs[name].run())
}

// run starts the program and keeps it running.
func (p *program) run() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	process, err := world.Start(p.host, p.log, p.binary, p.args...)
	if err != nil {
		return err
	}
	p.process, p.asked = process, false
	go func() {
		<-process.Exited()
		time.Sleep(time.Second)
		p.mu.Lock()
		ended := p.process == process && !p.asked
		p.mu.Unlock()
		if ended {
			_ = p.run()
		}
	}()
	return nil
}

// down returns the program's process, which is to end.
func (p *program) down() *world.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = true
	return p.process
}

// stop ends a program as asked to.
func (s *site) stop(name string) {
	s.Helper()
	s.must(s.programs[name].down().Stop())
}

// kill ends a program as a power cut does.
func (s *site) kill(name string) {
	s.Helper()
	s.must(s.programs[name].down().Kill())
}
