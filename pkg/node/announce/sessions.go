// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/node/announce/bfd"
)

// SessionsVersion is the version of the file with BFD sessions.
const SessionsVersion = 1

// stopBFD ends the BFD sessions. If peers keep the routes of a restarting program, it
// asks them for a detection time of that length: a BFD session that goes down would end a
// graceful restart.
func (a *Announcer) stopBFD(ctx context.Context) {
	a.mu.Lock()
	var patience time.Duration
	for _, p := range a.plan.Speaker.Peers {
		patience = max(patience, p.GracefulRestart)
	}
	a.mu.Unlock()
	saved := a.bfd.Stop(patience)
	if len(saved) == 0 || a.options.Sessions.Path == "" {
		return
	}
	if err := a.options.Sessions.Save(saved); err != nil {
		klog.FromContext(ctx).Error(err, "Cannot save the BFD sessions; peers will treat the next program as a new one")
	}
}

// resumeBFD continues the BFD sessions of the previous program, once: peers would treat
// older sessions as failed.
func (a *Announcer) resumeBFD(ctx context.Context) {
	if a.options.Sessions.Path == "" {
		return
	}
	saved := map[netip.Addr]bfd.Saved{}
	found, err := a.options.Sessions.Load(&saved)
	if e := os.Remove(a.options.Sessions.Path); e != nil && !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, e)
	}
	switch {
	case err != nil:
		klog.FromContext(ctx).Info("Cannot continue the BFD sessions of the previous program", "err", err)
	case found && a.options.Restarting:
		a.bfd.Resume(saved)
	}
}
